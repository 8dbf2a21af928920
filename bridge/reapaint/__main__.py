"""The program ``reapaint``, also as ``python -m bridge``."""

import sys

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
