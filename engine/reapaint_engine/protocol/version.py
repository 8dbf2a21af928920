"""The versions that both sides compare: of the program and of the wire."""

__version__ = "0.2.0"

PROTOCOL_VERSION = (1, 1)
"""Major and minor version: another major version is refused, another minor one is accepted."""


def protocol_text() -> str:
    """Return the protocol version as in every header, such as ``1.0``."""
    return ".".join(str(number) for number in PROTOCOL_VERSION)
