"""Integers in messages."""

from typing import Annotated

import msgspec

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""A 64-bit integer. JSON has no limit: a number of 4,000 digits is valid, but no array, clock
or formatted text can handle it."""
