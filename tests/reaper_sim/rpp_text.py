"""How RPP text quotes strings."""


def quoted(text: str) -> str:
    """Quote a string as REAPER does: bare, or in the first kind of quotes it lacks."""
    if text and not any(mark in text for mark in " \"'`\n"):
        return text
    for mark in "\"'`":
        if mark not in text:
            return f"{mark}{text}{mark}"
    return "`" + text.replace("`", "'") + "`"


def split_words(line: str) -> list[str]:
    """Take a line of RPP apart: bare words, and strings in any of three kinds of quotes."""
    words: list[str] = []
    rest = line.strip()
    while rest:
        if rest[0] in "\"'`":
            end = rest.find(rest[0], 1)
            end = len(rest) if end < 0 else end
            words.append(rest[1:end])
            rest = rest[end + 1 :].lstrip()
        else:
            word, _, rest = rest.partition(" ")
            words.append(word)
            rest = rest.lstrip()
    return words
