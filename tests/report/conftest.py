"""Real stores for the report: runs of a simulated endpoint through the real pipeline, and a reader of HTML."""

from __future__ import annotations

import asyncio
import re
import shutil
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from driftwatch.domain import Canary, Check, Incident, Kind, Message, Target, Verdict
from driftwatch.pipeline import Line, Pipeline
from driftwatch.providers import PROVIDERS, Connection
from driftwatch.replay import Gate
from driftwatch.report import Report, about_incident, about_target, page
from driftwatch.store import Store
from driftwatch.usage import Price

START = datetime(2026, 3, 2, tzinfo=UTC)
INTERVAL_S = 6 * 3600.0
N_CALIBRATION = 24
N_QUIET = 1 + N_CALIBRATION + 8
"""An anchor run, calibration and a few watched runs, none of which changes anything."""
DATABASE = "watch.db"
PRICE = Price(input_usd=1.0, output_usd=1000.0, source="config")

QUESTIONS = {
    "capital": ("What is the capital of France?", Check(kind="contains", argument="Paris")),
    "refund": ("How long can I return an order?", Check(kind="contains", argument="30")),
    "greeting": ("Greet a customer.", None),
    "triage": ("Answer with JSON.", Check(kind="json_valid", argument=True)),
}
BEFORE = {
    "support/capital": ["Paris.", "It is Paris.", "Paris, France."],
    "support/refund": ["Within 30 days.", "You have 30 days.", "30 days from delivery."],
    "support/greeting": ["Hello! How can I help?", "Hi there, how can I help you?", "Welcome! What can I do for you?"],
    "support/triage": ['{"label": "billing"}', '{"label":"billing"}', '{ "label": "billing" }'],
}
AFTER = {
    "support/capital": ["Lutetia!", "Or perhaps Lyon?", "Lyon, certainly."],
    "support/refund": ["Consult the terms.", "Kindly ask a human.", "See the small print."],
    "support/greeting": [
        "Speak. What is it now?",
        "Yes, well, state what you are after",
        "Say it then. We are all ears",
    ],
    "support/triage": ["{label = billing}", "{label=billing}", "{ label = billing"],
}
"""Other replies of the same length, so that neither tokens nor latency tell."""

LONGER = {
    "support/capital": ["As of my knowledge, the capital would be Paris", "The French capital city is called Paris"],
    "support/refund": ["I cannot say, please consult the terms.", "Please look at the terms and conditions."],
    "support/greeting": ["Greetings, valued customer of ours", "Good day to you, esteemed customer"],
    "support/triage": ['```json\n{"label": "billing"}\n```', "Sure! {label: billing}"],
}


def canaries() -> tuple[Canary, ...]:
    return tuple(
        Canary(
            id=f"support/{name}",
            suite="support",
            reason=f"why {name} matters",
            messages=(Message(role="user", content=question),),
            checks=() if check is None else (check,),
        )
        for name, (question, check) in QUESTIONS.items()
    )


def make_target(**changes) -> Target:
    values = {
        "name": "support",
        "provider": "simulated",
        "model": "m",
        "canaries": canaries(),
        "interval_s": INTERVAL_S,
        "repeats": 2,
        "threshold": 1461.0,
        "alarm_budget": "one false alarm a year",
        "anchors_wanted": 8,
        "calibration_wanted": N_CALIBRATION,
    }
    return Target(**{**values, **changes})


@dataclass
class World:
    """A store, a target, and an endpoint that follows a script."""

    path: Path
    target: Target
    script: Mapping[str, object]
    price: Price | None = PRICE
    n_runs: int = 0
    verdicts: list[Verdict] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = Store.open(self.path / DATABASE)

    def slot(self, n: int) -> datetime:
        """When the n-th run is scheduled, the first being 0."""
        return START + timedelta(seconds=n * self.target.interval_s)

    def run(self, n: int) -> None:
        """Make the next n runs."""
        provider = PROVIDERS["simulated"](Connection(script=self.script))
        line = Line(provider=provider, gate=Gate(8), price=self.price)
        pipeline = Pipeline(store=self.store, lines={self.target.name: line}, embedder=None)

        async def work() -> None:
            for _ in range(n):
                at = self.slot(self.n_runs)
                verdict = await pipeline.run(self.target, scheduled_at=at, at=at)
                assert verdict is not None
                self.verdicts.append(verdict)
                self.n_runs += 1

        asyncio.run(work())

    def incident(self) -> Incident:
        """The only incident there is, but for tripwires beside one of behaviour."""
        found = self.store.incidents()
        (incident,) = [i for i in found if i.kind is not Kind.TRIPWIRE] or found
        return incident

    def page(self, incident: Incident | None = None) -> str:
        return page(self.report(incident))

    def report(self, incident: Incident | None = None) -> Report:
        at = self.slot(self.n_runs)
        if incident is None:
            return about_target(self.store, self.target, at=at)
        return about_incident(self.store, {self.target.name: self.target}, incident, at=at)


def make_script(
    after: Mapping[str, list[str]] | None = None, *, change_at: datetime | None = None, faults: tuple = (), **persona
) -> dict[str, object]:
    """A script: ``before`` answers, from ``change_at`` on ``after``; ``persona`` changes what else is true since."""
    script: dict[str, object] = {
        "seed": 11,
        "start": "before",
        "personas": {
            "before": {"served_model": "m-1", "answers": BEFORE},
            "after": {"served_model": "m-1", "answers": dict(after or AFTER), **persona},
        },
        "faults": list(faults),
    }
    if change_at is not None:
        script["changes"] = [{"at": change_at.isoformat(), "persona": "after"}]
    return script


@pytest.fixture(autouse=True)
def quiet_logs() -> Iterator[None]:
    """What the runs log is not what these tests are about."""
    with capture_logs():
        yield


@pytest.fixture(scope="session")
def quiet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with anchors, calibration and eight quiet runs, made once: these take most of the time."""
    world = World(path=tmp_path_factory.mktemp("quiet"), target=make_target(), script=make_script())
    with capture_logs():
        world.run(N_QUIET)
    world.store.close()
    return world.path / DATABASE


@pytest.fixture
def make_world(tmp_path: Path, quiet_file: Path):
    """``make_world(script, **of_the_target)``; every store is closed at the end.

    ``is_quiet`` begins after the quiet runs, with everything that follows still to be scripted.
    """
    worlds: list[World] = []

    def make(script: Mapping[str, object] | None = None, *, is_quiet: bool = False, **of_the_target) -> World:
        directory = tmp_path / str(len(worlds))
        directory.mkdir()
        if is_quiet:
            shutil.copy(quiet_file, directory / DATABASE)
        world = World(path=directory, target=make_target(**of_the_target), script=script or make_script())
        world.n_runs = N_QUIET if is_quiet else 0
        worlds.append(world)
        return world

    yield make
    for world in worlds:
        world.store.close()


@pytest.fixture
def script() -> Callable[..., dict[str, object]]:
    return make_script


@pytest.fixture
def longer() -> Mapping[str, list[str]]:
    """Answers that are unlike the accepted ones and longer."""
    return LONGER


@pytest.fixture(scope="session")
def build_world(quiet_file: Path) -> Callable[..., World]:
    """``build_world(directory, after, **persona)``: a drifted world made of the quiet one; close its store."""

    def build(directory: Path, after: Mapping[str, list[str]], **persona) -> World:
        shutil.copy(quiet_file, directory / DATABASE)
        world = World(path=directory, target=make_target(), script=make_script())
        world.n_runs = N_QUIET
        world.script = make_script(after, change_at=world.slot(N_QUIET), **persona)
        with capture_logs():
            world.run(6)
        return world

    return build


@pytest.fixture
def drifted(make_world) -> World:
    """A behaviour incident that is open, its change right after the quiet runs."""
    world = make_world(is_quiet=True)
    world.script = make_script(change_at=world.slot(N_QUIET))
    world.run(12)
    assert world.incident().is_open
    return world


# ---------------------------------------------------------------- reading pages

VOID = {"meta", "br", "hr", "img", "input", "link", "circle", "line", "path", "rect"}
"""Elements without an end; of SVG only those this page draws with, which it closes with ``/>``."""
BLOCKS = {"p", "div", "dl", "ul", "table", "section", "header", "footer", "h1", "h2", "h3", "h4", "pre"}


@dataclass
class Page(HTMLParser):
    """A page that was read strictly: every start has its end, in order, and every attribute its quotes."""

    html: str

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.problems: list[str] = []
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(self.html)
        self.close()
        self.problems += [f"<{tag}> is never closed" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if len(dict(attrs)) != len(attrs):
            self.problems.append(f"<{tag}> says an attribute twice")
        if tag in VOID:
            return
        if "p" in self.open and tag in BLOCKS:
            self.problems.append(f"<{tag}> inside <p>")
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.problems.append(f"<{tag}/> is not void")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1] != tag:
            self.problems.append(f"</{tag}> inside {self.open[-3:]}")
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def handle_decl(self, decl: str) -> None:
        if decl != "doctype html":
            self.problems.append(f"<!{decl}>")

    def handle_comment(self, data: str) -> None:
        self.problems.append(f"a comment: {data}")

    def handle_pi(self, data: str) -> None:
        self.problems.append(f"an instruction: {data}")

    def unknown_decl(self, data: str) -> None:
        self.problems.append(f"a declaration: {data}")

    @property
    def text(self) -> str:
        """What a person reads, white space folded."""
        shown = " ".join(data for tag, data in self.texts if tag not in {"style", "title"})
        return re.sub(r"\s+", " ", shown)

    def inside(self, tag: str) -> list[str]:
        """The texts directly inside elements of this name."""
        return [data for name, data in self.texts if name == tag and data.strip()]

    def sections(self) -> list[str]:
        """The page's headings in order."""
        return self.inside("h2")

    def rows(self, title: str) -> list[list[str]]:
        """The cells of the table under a heading, row by row, header first."""
        part = self.html.split(f"<h2>{title}</h2>")[1].split("</table>")[0]
        rows = re.findall(r"<tr>(.*?)</tr>", part, re.DOTALL)
        return [[re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row)] for row in rows]


@pytest.fixture
def read() -> Callable[[str], Page]:
    """Read a page and fail on anything that is not as it has to be on every page."""

    def reader(html: str) -> Page:
        page = Page(html)
        assert page.problems == []
        assert_self_contained(page)
        return page

    return reader


def assert_self_contained(page: Page) -> None:
    """Nothing runs, nothing is loaded, nothing is left out of sight."""
    assert {tag for tag, _ in page.tags} <= {
        *("html", "head", "meta", "title", "style", "body", "header", "footer", "section", "div", "span"),
        *("h1", "h2", "h3", "h4", "p", "ul", "li", "dl", "dt", "dd", "strong", "code", "pre", "del", "ins"),
        *("table", "thead", "tbody", "tr", "th", "td", "svg", "rect", "line", "path", "circle", "text", "g"),
        *("details", "summary", "ol", "b", "a"),
    }
    for tag, attributes in page.tags:
        assert not {name for name in attributes if name.startswith("on")}, f"<{tag}> reacts"
        if tag == "a":
            assert re.fullmatch(r"#part-\d+|#next", attributes.pop("href") or ""), "a link leads elsewhere"
        assert not {"href", "src", "srcset", "action", "data", "xlink:href"} & set(attributes), f"<{tag}> loads"
    styles = " ".join(page.inside("style")) + " ".join(a.get("style") or "" for _, a in page.tags)
    assert "url(" not in styles
    assert "@import" not in styles
    assert "http-equiv" in page.html
    assert "default-src 'none'" in page.html
    for x in re.findall(r'(?:\bd="|[ML])([\d.-]+) [\d.-]+|\b(?:x|x1|x2|cx)="([^"]*)"', page.html):
        assert -10 <= float(x[0] or x[1] or 0) <= 870, "drawn outside"
    for number in re.findall(r'(?:d|x|y|x1|x2|y1|y2|cx|cy|width|height|viewBox)="([^"]*)"', page.html):
        assert "nan" not in number
        assert "inf" not in number
    assert not re.search(r"\b(nan|None|inf|Undefined)\b", page.text)
    # Joiners between letters are honest: Persian and families of emoji are written with them.
    steering = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    hidden = [char for char in page.html if unicodedata.category(char) in steering and char not in "\n\t\u200c\u200d"]
    assert hidden == []


@pytest.fixture
def without_canary() -> Callable[[Target, str], Target]:
    return lambda target, name: replace(target, canaries=tuple(c for c in target.canaries if c.id != name))
