"""``python -m engine serve``: what a client runs to start an engine."""

import sys

from reapaint_engine.cli import main

if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(main(arguments[1:] if arguments[:1] == ["serve"] else arguments))
