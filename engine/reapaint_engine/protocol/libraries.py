"""Name folders of sounds so that both sides tell them apart without their paths."""

import hashlib
import os
import re
from pathlib import Path

from reapaint_engine.protocol.settings import PATH, Setting

LIBRARY_BACKEND = "library"
"""Name of the backend that needs a folder of sounds. Clients must know it before an engine
runs."""

LIBRARY = Setting(
    name="library",
    default=None,
    kind=PATH,
    metavar="DIR",
    help="a folder of sounds, for the backend that fills from them by a prompt",
)

_DIGEST_CHARACTERS = 8
_MAX_NAME_CHARACTERS = 40


def library_name(folder: str | os.PathLike[str]) -> str:
    """Return a folder's own name with a digest of its whole path, such as ``sfx-1b2c3d4e``.

    It may be used in files that are passed on, where a path would reveal too much.
    """
    whole = os.path.realpath(Path(folder).expanduser())
    digest = hashlib.sha256(os.path.normcase(whole).encode("utf-8", "surrogatepass")).hexdigest()
    own = re.sub(r"[^A-Za-z0-9]+", "-", Path(whole).name).strip("-")[:_MAX_NAME_CHARACTERS]
    return f"{own or 'library'}-{digest[:_DIGEST_CHARACTERS]}"
