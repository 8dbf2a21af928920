"""Lists the scripts for ReaPack, REAPER's package manager, at whatever address they lie.

ReaPack downloads every file from an address of its own, by HTTP or from a ``file://``
address, and knows no relative ones: so there is one list for each place that holds a
copy of the scripts.

Notes
-----
The format is ReaPack's wiki page "Index Format", and what ReaPack reads of it is in its
``src/index_v1.cpp``. It puts a file into ``Scripts/<index>/<category>``; one ``..`` leads
out of the category (``test/source.cpp``), to where ``reapaint reaper install`` puts the
same files, so that nobody has every action twice.
"""

import re
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

from reapaint.reaper.setup.installation import SCRIPTS_FOLDER
from reapaint_engine.protocol.version import __version__

INDEX = "index.xml"
LOCAL_ADDRESS = "http://127.0.0.1:8000/reaper_scripts"
"""The list that comes with the scripts is for a copy served by this machine to itself."""
PACKAGE = "ReaPaint_Inpaint time selection.lua"
CATEGORY = "Audio"

_ABOUT = (
    "Repaint a stretch of audio in place. The sound is made by the program reapaint beside"
    " REAPER: install it, then run reapaint reaper install."
)


def make_index(scripts: Path, address: str) -> bytes:
    """Return ``index.xml`` for the scripts as they lie at an address.

    Parameters
    ----------
    scripts
        The folder of the scripts.
    address
        The same folder's URL, without a slash at its end.
    """
    header = (scripts / PACKAGE).read_text(encoding="utf-8")
    index = ElementTree.Element("index", version="1", name=SCRIPTS_FOLDER.name)
    category = ElementTree.SubElement(index, "category", name=CATEGORY)
    package = ElementTree.SubElement(
        category, "reapack", name=PACKAGE, type="script", desc=_tag("description", header)
    )
    metadata = ElementTree.SubElement(package, "metadata")
    ElementTree.SubElement(metadata, "description").text = rf"{{\rtf1\ansi {_ABOUT}}}"
    version = ElementTree.SubElement(
        package, "version", name=__version__, author=_tag("author", header)
    )
    for path in sorted(scripts.rglob("*.lua")):
        name = path.relative_to(scripts).as_posix()
        # What has a section becomes an action; the rest are modules of those.
        attributes = {"main": "main"} if path.parent == scripts else {}
        source = ElementTree.SubElement(version, "source", attributes, file=f"../{name}")
        source.text = f"{address}/{quote(name)}"
    ElementTree.indent(index)
    text = ElementTree.tostring(index, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'.encode()


def _tag(name: str, header: str) -> str:
    found = re.search(rf"^-- @{name} (.+)$", header, re.MULTILINE)
    assert found is not None, "the header is the package's own"
    return found[1]
