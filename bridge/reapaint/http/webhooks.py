"""Tells a client's own server that a prediction has ended: at least once, or not at all."""

import asyncio
import hashlib
import hmac
import logging
import os
import secrets
import time
from collections.abc import Mapping

from reapaint.http.errors import Refused
from reapaint.http.fetching import Network, post
from reapaint_engine.protocol.folders import config_folder

PAUSES_S = (1.0, 5.0, 25.0)
"""Before each repetition, where nobody answers or the answer is that it may work later."""

_log = logging.getLogger(__name__)


async def send(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    network: Network,
    pauses_s: tuple[float, ...] = PAUSES_S,
) -> bool:
    """Send a webhook, again after a pause where it is worth it; tells whether it was taken."""
    for pause_s in (0.0, *pauses_s):
        await asyncio.sleep(pause_s)
        try:
            status = await asyncio.to_thread(post, url, body, headers, network=network)
        except Refused as error:
            _log.warning("a webhook could not be sent: %s", error)
            continue
        if status < 300:
            return True
        _log.warning("a webhook was answered with status %d", status)
        if status < 500 and status not in (408, 425, 429):
            return False
    return False


def signed(body: bytes, event_id: str, secret: str) -> dict[str, str]:
    """Return the headers that prove where a webhook comes from.

    Notes
    -----
    WaveSpeed's scheme: HMAC-SHA256 over ``id.timestamp.body`` under the secret's text
    without its ``whsec_``.
    """
    timestamp = str(int(time.time()))
    content = f"{event_id}.{timestamp}.".encode() + body
    key = secret.removeprefix("whsec_").encode()
    signature = hmac.new(key, content, hashlib.sha256).hexdigest()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v3,{signature}",
    }


def load_secret() -> str:
    """Return the secret of this user's gateway, made when it is first asked for."""
    path = config_folder() / "http_webhook_secret"
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"whsec_{secrets.token_hex(32)}")
    return path.read_text(encoding="ascii").strip()
