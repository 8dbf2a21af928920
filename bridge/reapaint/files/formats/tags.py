"""Titles and other tags on their way from one format to another."""

from reapaint.files.formats import decoder, flac, ogg
from reapaint.files.formats.recording import AudioInfo
from reapaint.files.formats.vorbis_comments import Comments

_TECHNICAL = {
    "compatible_brands",
    "creation_time",
    "duration",
    "encoder",
    "handler_name",
    "language",
    "major_brand",
    "minor_version",
    "vendor_id",
}
"""What FFmpeg lists beside tags: facts of the container, untrue of another file."""

_XIPH_NAMES = {
    "album_artist": "ALBUMARTIST",
    "disc": "DISCNUMBER",
    "track": "TRACKNUMBER",
}


def read_tags(info: AudioInfo) -> dict[str, str]:
    """Return a recording's tags by FFmpeg's names."""
    found = decoder.read_metadata(info.path)
    return {
        key: value
        for key, value in found.items()
        if key.lower() not in _TECHNICAL and not key.upper().startswith("REAPAINT")
    }


def read_comments(info: AudioInfo) -> Comments:
    """Return a recording's tags as Vorbis comments: its own, where it has such."""
    with info.path.open("rb") as file:
        if info.container == "flac":
            return flac.read_comments(file, flac.read_header(file, info.size))
        comments = ogg.read_comments(file) if info.container == "ogg" else None
    if comments is not None:
        return comments
    entries = (
        f"{_XIPH_NAMES.get(key.lower(), key.upper())}={value}"
        for key, value in read_tags(info).items()
    )
    return Comments(entries=tuple(entry.encode(errors="replace") for entry in entries))
