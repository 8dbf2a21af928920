"""What a request names as its audio becomes a file of the store that was looked at."""

import base64
import binascii
import re
import time
from urllib.parse import unquote_to_bytes, urlsplit

from reapaint.files.formats.decoder import Watch
from reapaint.files.formats.recording import AudioInfo, probe
from reapaint.http.addresses import MAX_URL_CHARACTERS, parse_url
from reapaint.http.config import HttpLimits
from reapaint.http.errors import HttpCode, Refused, bad_request, not_found
from reapaint.http.fetching import Network, fetch
from reapaint.http.store import Store, StoredFile

UPLOAD_AGAIN = "Upload the file again: uploads expire."

_ID = re.compile(r"[0-9a-f]{32}\Z")
_OWN_PATH = re.compile(r"(?:.*/)?files/([0-9a-f]{32})(?:/[^/]*)?\Z")
_DECODED_BYTES = 4
_BLOCK_CHARACTERS = 1 << 20


def check_audio(audio: str, store: Store, network: Network) -> None:
    """Refuse what can be seen to be no audio of anybody, before anything is begun.

    Raises
    ------
    Refused
        400 or 404.
    """
    if is_data_uri(audio) or find_own(audio, store) is not None:
        return
    if _ID.match(audio):
        raise not_found("upload with this id", UPLOAD_AGAIN)
    if own_id(audio):
        raise not_found("such file on this server", UPLOAD_AGAIN)
    parse_url(audio, network.allowed_hosts)


def take_audio(audio: str, store: Store, network: Network, limits: HttpLimits) -> StoredFile:
    """Return the file that a request names: an upload, a data: URI, or one that is fetched.

    Blocking: for threads.

    Raises
    ------
    BridgeError
        It is not there, not allowed, too large or too slow, or the disk is full.
    """
    own = find_own(audio, store)
    if own is not None:
        return own
    if is_data_uri(audio):
        return _take_data(audio, store)
    check_audio(audio, store, network)
    with store.receive(urlsplit(audio).path) as incoming:
        fetch(
            audio,
            incoming.write,
            network=network,
            max_bytes=limits.max_upload_bytes,
            timeout_s=limits.fetch_timeout_s,
        )
        return incoming.keep()


def look_at(file: StoredFile, limits: HttpLimits) -> AudioInfo:
    """Say what is in a file, and give up on one that is too long or takes too long.

    Raises
    ------
    InputError
        It is no audio.
    Refused
        400 ``too_long`` or ``too_slow``.
    """
    if file.info is None:
        file.info = probe(file.path, _watch(limits))
    return file.info


def is_data_uri(audio: str) -> bool:
    """Tell whether audio came within the request."""
    return audio[:5].lower() == "data:"


def find_own(audio: str, store: Store) -> StoredFile | None:
    """Return the file of this gateway that an address or an id names."""
    file_id = audio if _ID.match(audio) else own_id(audio)
    return store.find(file_id) if file_id else None


def own_id(audio: str) -> str:
    """Return the id in an address of a gateway's file, whatever it calls itself.

    Ids can't be guessed: who knows one was given it. So it does not matter under which
    of its names, or through which proxy, the gateway gave the address.
    """
    if len(audio) > MAX_URL_CHARACTERS or audio[:4].lower() != "http":
        return ""
    try:
        match = _OWN_PATH.match(urlsplit(audio).path)
    except ValueError:
        return ""
    return match[1] if match else ""


def _take_data(audio: str, store: Store) -> StoredFile:
    head, comma, body = audio.partition(",")
    if not comma:
        raise bad_request(
            "The data: URI has no comma, after which its data would stand.",
            "Send data:audio/wav;base64,... with the file's bytes.",
        )
    if not body:
        raise bad_request("The data: URI is empty.", "Choose a file that has sound in it.")
    with store.receive(_ending_of(head)) as incoming:
        if ";base64" not in head.lower():
            incoming.write(unquote_to_bytes(body))
            return incoming.keep()
        try:
            # Blocks of whole quads, so that memory holds the file once and no more.
            for start in range(0, len(body), _BLOCK_CHARACTERS):
                block = body[start : start + _BLOCK_CHARACTERS]
                incoming.write(base64.b64decode(block, validate=True))
        except (binascii.Error, ValueError) as error:
            raise bad_request(
                "The data: URI is not encoded as base64 is.",
                "Encode the file's bytes without line breaks.",
            ) from error
        return incoming.keep()


def _ending_of(head: str) -> str:
    kind = head.partition("/")[2].partition(";")[0].lower()
    return "." + {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "mp4": "m4a"}.get(kind, kind)


def _watch(limits: HttpLimits) -> Watch:
    deadline_s = time.monotonic() + limits.decode_timeout_s

    def watch(frames: int, sample_rate: int, channels: int) -> None:
        is_too_long = frames > limits.max_duration_s * max(sample_rate, 1)
        if is_too_long or frames * channels * _DECODED_BYTES > limits.max_decoded_bytes:
            raise Refused(
                400,
                HttpCode.TOO_LONG,
                f"The recording is longer than the {limits.max_duration_s:g} s that this server"
                f" takes, or than {limits.max_decoded_bytes / 2**30:g} GiB when it is decoded.",
                hint="Send the part that matters, or start the server with a larger"
                " --http-max-seconds.",
            )
        if time.monotonic() > deadline_s:
            raise Refused(
                400,
                HttpCode.TOO_SLOW,
                "The recording takes too long to decode.",
                hint="Convert it to WAV or FLAC, and send that.",
            )

    return watch
