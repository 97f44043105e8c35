"""No file names a machine it was written on, a registry it was built from, or a secret."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Each is written so that it does not match itself.
FORBIDDEN = {
    "a path of one machine": r"(?<![\w.~-])/(wor[k]|roo[t]|home/(?!(you|somebody)\b)\w+)/|/opt/(wheel[s]|pyp[i])\b",
    "a temporary path of one machine": r"(?<![\w.])/tm[p]/[a-z]",
    "a registry's host": r"(\bpyp[i]|pythonhoste[d]|download\.pytorc[h]|registry\.npmj[s]|deb\.debia[n])\.org",
    "a key": r"\bsk-(proj-)?[A-Za-z0-9]{32,}|\bxox[bp]-[0-9]{9,}|AKIA(?!\w*EXAMPLE)[0-9A-Z]{16}",
}
# What a build or an editor leaves and nobody needs.
UNWANTED = re.compile(r"\.(pyc|pyo|db|log|swp|orig|rej|egg-info)$|(^|/)(\.env|\.DS_Store)$")


def tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for path in listed.stdout.splitlines() if (ROOT / path).is_file()]


def texts() -> dict[str, str]:
    found = {}
    for path in tracked():
        try:
            found[path] = (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture
    return found


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_names(what):
    pattern = re.compile(FORBIDDEN[what])
    found = [
        f"{path}:{number}: {line.strip()[:120]}"
        for path, text in texts().items()
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]

    assert found == []


def test_the_search_itself_finds_what_it_is_for():
    place = f"cd /{'home'}/ann/src"

    assert re.search(FORBIDDEN["a path of one machine"], place)
    assert not re.search(FORBIDDEN["a path of one machine"], f"https://example.com{place[3:]}")
    assert len(texts()) > 20


def test_nothing_that_a_build_leaves_is_tracked():
    assert [path for path in tracked() if UNWANTED.search(path)] == []


def test_no_file_is_large_without_need():
    assert [path for path in tracked() if (ROOT / path).stat().st_size > 1_000_000] == []
