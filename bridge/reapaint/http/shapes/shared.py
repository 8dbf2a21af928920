"""What all interfaces do alike; each has its own words for it."""

from datetime import datetime

from reapaint.http.gateway import Gateway
from reapaint.http.inputs import ServiceInput, make_request
from reapaint.http.predictions import Prediction
from reapaint.http.routes import Call

SUBMIT_ERRORS = (404, 503)
"""What a good body with a new prediction can still be refused with."""


async def submit(gateway: Gateway, call: Call, asked: ServiceInput) -> Prediction:
    """Take on what a client asked for.

    Raises
    ------
    Refused
        It can't be, or not now.
    """
    request = make_request(
        asked,
        base_url=call.base_url,
        welcome=gateway.engine.welcome,
        network=gateway.network,
    )
    return await gateway.submit(request)


def fraction_of(prediction: Prediction) -> float:
    """Return how much is done, from 0 to 1, as answers tell it."""
    return round(prediction.fraction, 4)


def utc_text(time: datetime) -> str:
    """Return a time in UTC as ISO 8601 text."""
    return time.isoformat().replace("+00:00", "Z")


def content_type_headers(content_type: str) -> dict[str, str]:
    """Return the headers to upload a file with; none where a header can't hold its kind."""
    is_plain = content_type.isascii() and content_type.isprintable()
    return {"Content-Type": content_type} if is_plain else {}
