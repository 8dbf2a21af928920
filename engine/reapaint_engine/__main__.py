"""``python -m reapaint_engine serve``: what a client runs to start an engine."""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    # ``python -m`` searches the working directory first, which may hold other modules.
    del sys.path[0]

from reapaint_engine.cli import main

if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(main(arguments[1:] if arguments[:1] == ["serve"] else arguments))
