"""Every command that the documentation tells people to type exists, with the options it is shown with."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
import typer

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]
FENCE = re.compile(r"^```(?:sh|bash|shell|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


def typed(program: str) -> list[tuple[str, str]]:
    """(page, command line) for every line of a shell block, or every code span, that calls ``program``."""
    found = []
    for page in PAGES:
        text = page.read_text()
        blocks = "\n".join(FENCE.findall(text)).replace("\\\n", " ")
        spans = re.findall(rf"`({program} [^`\n]+)`", text)
        for line in [*blocks.splitlines(), *spans]:
            for part in re.split(r"&&|\||;", line.split(" #")[0]):
                words = part.strip().removeprefix("$ ").removeprefix(".venv/bin/")
                words = re.sub(r"^([A-Z_]+=\S+ )+", "", words).removeprefix(".venv/bin/")
                if re.match(rf"{program}( |$)", words):
                    found.append((page.name, words))
    return sorted(set(found))


@pytest.fixture(scope="module")
def commands() -> click.Command:
    from driftwatch.cli import app  # noqa: PLC0415 - only here

    return typer.main.get_command(app)


@pytest.mark.parametrize(("page", "line"), typed("make"))
def test_a_documented_make_target_exists(page, line):
    targets = [word for word in shlex.split(line)[1:] if re.fullmatch(r"[a-z-]+", word)]

    assert set(targets) <= TARGETS, page


@pytest.mark.parametrize(("page", "line"), typed("driftwatch"))
def test_a_documented_command_exists_with_its_options(page, line, commands):
    words = [word for word in shlex.split(line)[1:] if word not in {"…", "...", "-"}]
    command, options = commands, list(commands.params)
    for word in words:
        verbs = getattr(command, "commands", {})
        if word.startswith("-"):
            known = {name for option in options for name in [*option.opts, *option.secondary_opts]} | {"-h", "--help"}
            assert word.split("=")[0] in known, f"{page}: {line}"
        elif verbs and not word.isupper():
            assert word in verbs, f"{page}: {line}"
            command = verbs[word]
            options += command.params


def test_the_pages_tell_people_to_type_something():
    assert typed("make")


def test_every_target_of_the_makefile_is_listed_by_make_help():
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE).group(1).split()

    assert set(phony) == TARGETS
