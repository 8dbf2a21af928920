"""How both sides tell one folder of sounds from another, without telling where it lies."""

import hashlib
import os
import re
from pathlib import Path

from reapaint_engine.protocol.settings import PATH, Setting

LIBRARY_BACKEND = "library"
"""The backend that needs a folder of sounds: who asks for it has to know before an engine is
there that could tell."""

LIBRARY = Setting(
    name="library",
    default=None,
    kind=PATH,
    metavar="DIR",
    help="a folder of sounds, for the backend that fills from them by a prompt",
)

_DIGEST_CHARACTERS = 8
_LONGEST_NAME = 40


def library_name(folder: str | os.PathLike[str]) -> str:
    """Return a folder's own name with a digest of its whole path, such as ``sfx-1b2c3d4e``.

    It may stand in files that are handed on, where a path would tell too much.
    """
    whole = os.path.realpath(Path(folder).expanduser())
    digest = hashlib.sha256(os.path.normcase(whole).encode("utf-8", "surrogatepass")).hexdigest()
    own = re.sub(r"[^A-Za-z0-9]+", "-", Path(whole).name).strip("-")[:_LONGEST_NAME]
    return f"{own or 'library'}-{digest[:_DIGEST_CHARACTERS]}"
