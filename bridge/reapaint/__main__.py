"""The program ``reapaint``, also as ``python -m reapaint``."""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    # ``python -m`` looks into the working directory first: what lies there is none of ours.
    del sys.path[0]

EXIT_INTERRUPTED = 130


def main() -> int:
    """Run one command; an interrupt while Python still loads it is no mistake either."""
    try:
        from reapaint.commands.cli import main as run

        return run()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
