"""The runbook as it is written: its sections, and the commands that stand in them."""

import re
from collections.abc import Mapping

from tests.deployment import sample

PAGE = "docs/operations.md"
_TEXT = (sample.ROOT / PAGE).read_text()
#: How the sample project spells what the page leaves to the reader.
_SPELLING = {"manage.py ": "python -m django "}


def sections() -> dict[str, str]:
    """The runbook's sections, by heading."""
    whole = _TEXT.split("\n## Runbook\n")[1].split("\n## ")[0]
    _, *parts = whole.split("\n### ")
    return dict(part.split("\n", 1) for part in parts)


def says(heading: str, words: str) -> str:
    """Some words, which stand in a section wherever its lines break."""
    section = " ".join(sections()[heading].split())
    assert words in section, f"{heading} does not say {words!r} any more"
    return words


def command(heading: str, start: str, filled: Mapping[str, str] | None = None) -> str:
    """The one command of a section that begins so, with the page's placeholders filled in."""
    spans = re.findall(r"`([^`]+)`", sections()[heading])
    found = {" ".join(span.split()) for span in spans}
    written = [one for one in found if one.startswith(start)]
    assert len(written) == 1, f"{heading} has {written or 'no command'} for {start!r}"
    (line,) = written
    for name, value in {**(filled or {}), **_SPELLING}.items():
        line = line.replace(name, value)
    return line
