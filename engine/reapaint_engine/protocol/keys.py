"""The key pairs that let an engine and its clients trust each other over a network.

Every machine has one pair. An engine admits the clients whose public keys it was given;
a client knows the public key of each engine it talks to. The files are pyzmq's own.
"""

import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from reapaint_engine.protocol.errors import THE_PATH, ErrorCode, ProtocolError, reason_of
from reapaint_engine.protocol.folders import config_folder, make_private

_PAIR_NAME = "reapaint"


@dataclass(frozen=True)
class KeyPair:
    """A machine's public and secret key, Z85-encoded."""

    public: bytes
    secret: bytes


def make_key_pair() -> Path:
    """Create this machine's pair and return the public file, which others need.

    Raises
    ------
    ProtocolError
        ``invalid_field``: there is one already, which others may rely on.
    """
    from zmq.auth import create_certificates

    public_path = public_key_path()
    if public_path.exists():
        raise ProtocolError(
            ErrorCode.INVALID_FIELD,
            f"This machine has a key already: {THE_PATH}.",
            hint="Use it, or remove it and its _secret file first; all who trust it"
            " then need the new one.",
            path=public_path,
        )
    create_certificates(public_path.parent, _PAIR_NAME)
    _secret_key_path().chmod(0o600)
    return public_path


def load_key_pair() -> KeyPair:
    """Return this machine's pair.

    Raises
    ------
    ProtocolError
        ``not_authorised``: there is none, or it can't be read.
    """
    path = _secret_key_path()
    public, secret = _load(path) if path.exists() else (b"", None)
    if secret is None:
        raise ProtocolError(
            ErrorCode.NOT_AUTHORISED,
            "This machine has no key of its own, which any address but loopback needs.",
            hint="Make one with `reapaint keys new`, and let the other side trust it"
            " with `reapaint keys trust FILE`.",
        )
    return KeyPair(public, secret)


def trust_client(path: Path) -> Path:
    """Let the owner of a public key use the engines of this machine."""
    public, _ = _load(path)
    # Every machine's file has the same name, so the key tells them apart.
    number = hashlib.sha256(public).hexdigest()[:8]
    return _copy(path, clients_folder() / f"{path.stem}-{number}.key")


def trust_engine(path: Path, endpoint: str) -> Path:
    """Remember the public key of the engine at an endpoint."""
    _load(path)
    return _copy(path, _engine_key_path(endpoint))


def load_engine_key(endpoint: str) -> bytes:
    """Return the public key of the engine at an endpoint.

    Raises
    ------
    ProtocolError
        ``not_authorised``: its key is unknown.
    """
    path = _engine_key_path(endpoint)
    if not path.exists():
        raise ProtocolError(
            ErrorCode.NOT_AUTHORISED,
            f"No key is known for the engine at {endpoint}.",
            hint="Copy its public key here and run `reapaint keys trust FILE --engine"
            f" {endpoint}`.",
        )
    return _load(path)[0]


def is_engine_trusted(endpoint: str) -> bool:
    """Return whether the key of the engine at an endpoint is known."""
    return _engine_key_path(endpoint).exists()


def public_key_path() -> Path:
    """Return the path of this machine's public key, even if there is none yet."""
    return _keys_folder() / f"{_PAIR_NAME}.key"


def clients_folder() -> Path:
    """Return the folder of the public keys of clients that are trusted."""
    return make_private(_keys_folder() / "clients")


def trusted_clients() -> list[Path]:
    """Return the key files of the clients that are trusted."""
    return sorted(clients_folder().glob("*.key"))


def trusted_engines() -> list[Path]:
    """Return the key files of the engines that are known."""
    return sorted(_engines_folder().glob("*.key"))


def _keys_folder() -> Path:
    return make_private(config_folder() / "keys")


def _secret_key_path() -> Path:
    return _keys_folder() / f"{_PAIR_NAME}.key_secret"


def _engines_folder() -> Path:
    return make_private(_keys_folder() / "engines")


def _engine_key_path(endpoint: str) -> Path:
    return _engines_folder() / (re.sub(r"[^A-Za-z0-9.-]+", "_", endpoint) + ".key")


def _load(path: Path) -> tuple[bytes, bytes | None]:
    from zmq.auth import load_certificate

    try:
        return load_certificate(path)
    except (OSError, ValueError) as error:
        raise ProtocolError(
            ErrorCode.NOT_AUTHORISED,
            f"{THE_PATH} is no key file: {reason_of(error)}.",
            hint="Give the .key file that `reapaint keys new` made on the other machine.",
            path=path,
        ) from error


def _copy(source: Path, target: Path) -> Path:
    if source.resolve() != target.resolve():
        # Only the public half is kept: a secret must never be copied, even by mistake.
        _refuse_secret(source)
        shutil.copyfile(source, target)
        target.chmod(0o600)
    return target


def _refuse_secret(path: Path) -> None:
    if _load(path)[1] is not None:
        raise ProtocolError(
            ErrorCode.NOT_AUTHORISED,
            f"{THE_PATH} holds a secret key.",
            hint="Give the .key file beside it, and keep the secret one where it is.",
            path=path,
        )
