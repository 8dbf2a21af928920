"""Whole numbers as messages carry them."""

from typing import Annotated

import msgspec

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""A whole number of 64 bits. JSON knows no limit: a sender could give one of 4,000 digits, which
is valid, and which no array, clock or formatted sentence can take."""
