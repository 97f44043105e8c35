"""docs/providers.md says what the code does: its tables are made from it, its configs load, no outcome is left out."""

from __future__ import annotations

import re

import pytest

from benchmarks.vendors import page as made
from driftwatch import wiring
from driftwatch.config import load
from driftwatch.domain import Outcome
from driftwatch.providers import PROVIDERS
from driftwatch.providers.http_template import PLACES

PAGE = made.PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", made.MADE)
def test_what_is_made_from_the_code_is_up_to_date(name):
    block = f"<!-- begin: {name} -->\n\n{made.MADE[name]()}\n\n<!-- end: {name} -->"
    assert block in PAGE, "run python -m benchmarks.vendors.page --write"


@pytest.mark.anyio
async def test_every_provider_has_a_config_that_loads_and_opens(tmp_path):
    configured = set()
    for position, text in enumerate(BLOCKS):
        path = tmp_path / f"{position}.yaml"
        path.write_text(text, encoding="utf-8")
        settings = load(path, {}, providers=PROVIDERS)
        for name, wanted in settings.targets.items():
            watched = wiring.target(name, wanted, settings, ())
            await wiring.provider(watched, settings, None).aclose()
            configured.add(wanted.provider)
    assert configured == set(made.SERVED)


def test_every_outcome_is_explained():
    explained = re.findall(r"^\| `(\w+)` \|", PAGE[PAGE.index("## Outcomes") :], re.MULTILINE)
    assert explained == [outcome.value for outcome in Outcome]


def test_every_place_of_a_template_is_explained():
    explained = {place.split(".")[0] for place in re.findall(r"\{\{([\w.]+)\}\}", PAGE[: PAGE.index("## Options")])}
    assert {place.split(".")[0] for place in PLACES} <= explained
