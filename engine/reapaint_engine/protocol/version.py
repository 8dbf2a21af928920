"""The versions that both sides compare: of the program and of the wire."""

__version__ = "0.2.0"

PROTOCOL_VERSION = (1, 1)
"""Major and minor: another major is refused, another minor is understood."""


def protocol_text() -> str:
    """Return the wire version as it stands in every header, such as ``1.0``."""
    return ".".join(str(number) for number in PROTOCOL_VERSION)
