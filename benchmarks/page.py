"""Where a benchmark's tables go: between its own pair of markers in docs/detection.md, and to the terminal."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "detection.md"


def publish(section: str, text: str, *, write: bool, page: Path = PAGE) -> None:
    """Print a benchmark's markdown; with ``write`` also put it in place of the section's former text.

    Args:
        section: name of the markers ``<!-- begin: NAME -->`` and ``<!-- end: NAME -->``; a page without them gets
            them at its end.
        text: markdown, without the markers.
        write: whether the page is changed.
        page: the page.
    """
    print(text)
    if not write:
        return
    begin, end = f"<!-- begin: {section} -->", f"<!-- end: {section} -->"
    block = f"{begin}\n\n{text.strip()}\n\n{end}"
    before = page.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    after = pattern.sub(lambda _: block, before) if pattern.search(before) else f"{before.rstrip()}\n\n{block}\n"
    page.write_text(after, encoding="utf-8")
