"""Every trouble with every provider, through the whole pipeline: the right outcome, no drift, no crash, no overspend.

Each provider is calibrated once against its vendor's server; each trouble then befalls one run of a copy of that watch.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from benchmarks.vendors.serving import Play, Request, answering, head, serving
from benchmarks.vendors.wire import Said, Trouble, vendor
from driftwatch.clock import SimulatedClock
from driftwatch.domain import Canary, Message, Outcome, Purpose, State, Target
from driftwatch.pipeline import Line, Pipeline
from driftwatch.providers import PROVIDERS, Connection
from driftwatch.replay import Gate, RetryPolicy, SimulatedTime
from driftwatch.store import Store

NAMES = sorted({entry.module: name for name, entry in reversed(PROVIDERS.items())}.values())
NAMES.remove("simulated")
"""One provider of each module; presets are the same module at another address."""
T0 = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
ATTEMPTS = 2
KEY = "sk-a-key-of-the-matrix-0123456789"
CANARIES = tuple(
    Canary(id=f"core/{name}", suite="core", messages=(Message(role="user", content=f"Say {name}."),))
    for name in ("hello", "goodbye")
)
N_BASELINE = 21
"""Runs until the watch is armed: one for the anchors and twenty of calibration."""
LARGE = 100 * 2**20
PIECE = b" " * 2**16


@dataclass(frozen=True)
class Fault:
    """One kind of trouble on the way."""

    play: Callable[[str, Request, asyncio.StreamWriter], Awaitable[None]]
    """Given the provider's name."""
    outcome: frozenset[Outcome]
    streams: bool = False
    """Whether it befalls streams; else documents."""
    trouble: Trouble | None = None
    """Set where the vendor's documentation says the outcome."""

    def outcomes(self, name: str) -> frozenset[Outcome]:
        """What driftwatch may make of it; empty where the vendor knows no such trouble."""
        if self.trouble is None:
            return self.outcome
        told = vendor(name).outcomes
        return frozenset({told[self.trouble]}) if self.trouble in told else frozenset()


# ---------------------------------------------------------------- what goes wrong


def raw(content: bytes) -> Callable[..., Awaitable[None]]:
    """Exactly these bytes, then the line goes dead."""

    async def play(name: str, request: Request, writer: asyncio.StreamWriter) -> None:
        del name, request
        writer.write(content)
        await writer.drain()
        raise ConnectionError

    return play


def body(content: bytes, *, status: str = "200 OK", kind: str = "application/json", more: str = "") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-type: {kind}", f"content-length: {len(content)}"]
    return "\r\n".join([*lines, *([more] if more else []), "", ""]).encode() + content


def of_the_wire(
    change: Callable[[tuple[bytes, ...]], tuple[bytes, ...]], *, stream: bool
) -> Callable[..., Awaitable[None]]:
    """The vendor's own reply, changed on the way; chunked, so that its end is told."""

    async def play(name: str, request: Request, writer: asyncio.StreamWriter) -> None:
        spoken = vendor(name)
        said = spoken.streams(Said()) if stream else spoken.says(Said())
        changed = (
            replace(said, pieces=(*change(said.pieces), b"")) if stream else replace(said, pieces=change(said.pieces))
        )
        if not stream:
            writer.write(head(changed) + changed.pieces[0])
            return
        writer.write(head(changed))
        for piece in changed.pieces[:-1]:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    return play


def large(*, stream: bool) -> Callable[..., Awaitable[None]]:
    async def play(name: str, request: Request, writer: asyncio.StreamWriter) -> None:
        del request
        kind = vendor(name).streams(Said()).headers["content-type"] if stream else "application/json"
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {LARGE}\r\n\r\n".encode())
        for _ in range(LARGE // len(PIECE)):
            writer.write(PIECE)
            await writer.drain()

    return play


async def drip(name: str, request: Request, writer: asyncio.StreamWriter) -> None:
    del name, request
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n")
    for _ in range(1000):
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def silence(name: str, request: Request, writer: asyncio.StreamWriter) -> None:
    del name, request, writer
    await asyncio.sleep(3)
    raise ConnectionError


async def stall(name: str, request: Request, writer: asyncio.StreamWriter) -> None:
    """A stream that begins well and then says nothing more."""
    del request
    said = vendor(name).streams(Said())
    writer.write(head(said))
    for piece in said.pieces[:2]:
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
    await writer.drain()
    await asyncio.sleep(3)
    raise ConnectionError


def trouble(kind: Trouble, *, stream: bool = False, headers: dict[str, str] | None = None) -> Fault:
    async def play(name: str, request: Request, writer: asyncio.StreamWriter) -> None:
        said = vendor(name).fails(kind, model="model-1")
        said = replace(said, headers={**said.headers, **(headers or {})})
        await answering(lambda _: said)(request, writer)

    return Fault(play, frozenset(), streams=stream, trouble=kind)


def cut_json(pieces: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return (pieces[0][: len(pieces[0]) // 2],)


def bad_text(pieces: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return (pieces[0].replace(b"Hello", b"He\xff\xfelo"),)


HTML = b"<!doctype html><html><head><title>Sign in</title></head><body>please</body></html>"
DEAD = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"choices": ['
UNREADABLE = frozenset({Outcome.MALFORMED, Outcome.NOT_JSON, Outcome.CUT_OFF})


def one(*outcomes: Outcome) -> frozenset[Outcome]:
    return frozenset(outcomes)


FAULTS: dict[str, Fault] = {
    **{f"the vendor's {kind.value.replace('_', ' ')}": trouble(kind) for kind in Trouble},
    **{f"a stream refused: {kind.value}": trouble(kind, stream=True) for kind in (Trouble.AUTH, Trouble.BROKEN)},
    "rate limited, try again in seconds": trouble(Trouble.RATE_LIMITED, headers={"retry-after": "0"}),
    "rate limited, try again at a time": trouble(
        Trouble.RATE_LIMITED,
        headers={"retry-after": "Mon, 02 Mar 2026 09:00:00 GMT", "date": "Mon, 02 Mar 2026 09:00:00 GMT"},
    ),
    "rate limited for a day": trouble(Trouble.RATE_LIMITED, headers={"retry-after": "86400"}),
    "hangs up at once": Fault(raw(b""), one(Outcome.CONNECTION)),
    "hangs up in the headers": Fault(raw(b"HTTP/1.1 200 OK\r\nconte"), one(Outcome.CONNECTION, Outcome.MALFORMED)),
    "hangs up in the body": Fault(raw(DEAD), one(Outcome.CUT_OFF)),
    "speaks no HTTP": Fault(raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), one(Outcome.MALFORMED)),
    "answers with nothing": Fault(raw(body(b"")), one(Outcome.EMPTY_BODY)),
    "answers 204": Fault(raw(b"HTTP/1.1 204 No Content\r\n\r\n"), one(Outcome.EMPTY_BODY)),
    "a gateway's log-in page": Fault(raw(body(HTML, kind="text/html")), one(Outcome.NOT_JSON)),
    "a gateway's error page": Fault(
        raw(body(HTML, status="502 Bad Gateway", kind="text/html")), one(Outcome.UNAVAILABLE)
    ),
    "a gateway's time-out": Fault(raw(body(b"", status="504 Gateway Timeout")), one(Outcome.UNAVAILABLE)),
    "a request time-out": Fault(raw(body(b"", status="408 Request Timeout")), one(Outcome.TIMEOUT)),
    "overloaded, as 529": Fault(raw(body(b"{}", status="529 Overloaded")), one(Outcome.UNAVAILABLE)),
    "a status nobody knows": Fault(raw(body(b"{}", status="418 Teapot")), one(Outcome.REJECTED)),
    "sent elsewhere": Fault(
        raw(body(b"", status="307 Moved", more="location: http://127.0.0.1:9/")), one(Outcome.REJECTED)
    ),
    "payment required": Fault(raw(body(b"{}", status="402 Payment Required")), one(Outcome.QUOTA)),
    "null for an answer": Fault(raw(body(b"null")), one(Outcome.MALFORMED)),
    "a list for an answer": Fault(raw(body(b"[]")), one(Outcome.MALFORMED)),
    "a text for an answer": Fault(raw(body(b'"ok"')), one(Outcome.MALFORMED)),
    "an object of another shape": Fault(raw(body(b'{"status": "fine"}')), one(Outcome.MALFORMED)),
    "JSON nested without end": Fault(raw(body(b"[" * 100_000)), one(Outcome.MALFORMED, Outcome.NOT_JSON)),
    "JSON broken off": Fault(of_the_wire(cut_json, stream=False), one(Outcome.CUT_OFF)),
    "no valid UTF-8": Fault(of_the_wire(bad_text, stream=False), one(Outcome.NOT_JSON)),
    "compressed, and wrongly": Fault(raw(body(b"nope", more="content-encoding: gzip")), one(Outcome.MALFORMED)),
    "100 MB of output": Fault(large(stream=False), one(Outcome.TOO_LARGE)),
    "slow loris": Fault(drip, one(Outcome.TIMEOUT)),
    "silence": Fault(silence, one(Outcome.TIMEOUT)),
    "a stream of nothing": Fault(of_the_wire(lambda _: (), stream=True), one(Outcome.EMPTY_BODY), streams=True),
    "a stream broken off": Fault(
        of_the_wire(lambda pieces: pieces[: len(pieces) // 2], stream=True), one(Outcome.CUT_OFF), streams=True
    ),
    "a stream that stalls": Fault(stall, one(Outcome.TIMEOUT), streams=True),
    "a stream of 100 MB": Fault(large(stream=True), one(Outcome.TOO_LARGE, Outcome.MALFORMED), streams=True),
    "a stream of noise": Fault(
        of_the_wire(lambda pieces: (pieces[0], b"data: {oops\n\n", *pieces[1:]), stream=True), UNREADABLE, streams=True
    ),
    "a stream of no valid UTF-8": Fault(
        of_the_wire(lambda pieces: tuple(p.replace(b"e", b"\xff") for p in pieces), stream=True),
        UNREADABLE,
        streams=True,
    ),
    "a stream's frames doubled": Fault(
        of_the_wire(lambda pieces: tuple(p for piece in pieces for p in (piece, piece)), stream=True),
        one(Outcome.OK, Outcome.MALFORMED),
        streams=True,
    ),
    "a stream's frames backwards": Fault(
        of_the_wire(lambda pieces: pieces[::-1], stream=True),
        one(Outcome.OK, Outcome.MALFORMED, Outcome.CUT_OFF, Outcome.EMPTY_BODY),
        streams=True,
    ),
}


# ---------------------------------------------------------------- the harness


def target_of(name: str, *, stream: bool) -> Target:
    return Target(
        name="watched",
        provider=name,
        model="model-1",
        canaries=CANARIES,
        options=vendor(name).options,
        stream=stream,
        anchors_wanted=2,
        calibration_wanted=20,
        burst=False,
    )


@contextlib.asynccontextmanager
async def watch(
    name: str, store: Store, play: Play, *, timeout_s: float = 20.0
) -> AsyncIterator[tuple[Pipeline, list[Request]]]:
    async with serving(play) as server:
        spoken = vendor(name)
        connection = Connection(
            base_url=server.address + spoken.base_path,
            read_key=lambda: KEY,
            options=spoken.options,
            timeout_s=timeout_s,
        )
        provider = PROVIDERS[name](connection)
        gate = Gate(4, timing=SimulatedTime(SimulatedClock(T0)))  # a pause after an overload passes at once
        line = Line(provider=provider, gate=gate, retry=RetryPolicy(attempts=ATTEMPTS), deadline_s=600.0)
        yield Pipeline(store=store, lines={"watched": line}, embedder=None), server.requests
        await provider.aclose()


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bool], Path]:
    """The database of a provider's watch in good health, made once for documents and once for streams."""
    made: dict[tuple[str, bool], Path] = {}

    async def make(name: str, *, stream: bool, path: Path) -> None:
        said = vendor(name).streams(Said()) if stream else vendor(name).says(Said())
        with Store.open(path) as store:
            async with watch(name, store, answering(lambda _: said)) as (pipeline, _):
                target = target_of(name, stream=stream)
                for n in range(N_BASELINE):
                    at = T0 + n * HOUR
                    await pipeline.run(target, scheduled_at=at, at=at)
            assert store.latest_verdict("watched").state is not State.INCONCLUSIVE

    def database(name: str, stream: bool) -> Path:
        if (name, stream) not in made:
            path = tmp_path_factory.mktemp("calibrated") / "watch.db"
            asyncio.run(make(name, stream=stream, path=path))
            made[name, stream] = path
        return made[name, stream]

    return database


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    cells = [
        pytest.param(name, fault, id=f"{name}: {fault}")
        for name in NAMES
        for fault, what in FAULTS.items()
        if what.outcomes(name) and not (what.streams and not vendor(name).streams(Said()).pieces)
    ]
    if "fault" in metafunc.fixturenames:
        metafunc.parametrize(("name", "fault"), cells)


def test_there_are_thirty_kinds_of_trouble_and_every_provider_is_there() -> None:
    assert len(FAULTS) >= 30
    assert {PROVIDERS[name].module for name in NAMES} | {"simulated"} == {e.module for e in PROVIDERS.values()}


async def befall(name: str, what: Fault, path: Path) -> None:
    """One run in trouble, and all that must hold after it."""
    target, at = target_of(name, stream=what.streams), T0 + N_BASELINE * HOUR

    async def play(request: Request, writer: asyncio.StreamWriter) -> None:
        await what.play(name, request, writer)

    timeout_s = 0.3 if what.outcome == {Outcome.TIMEOUT} and what.play in {drip, silence, stall} else 20.0
    with Store.open(path) as store, capture_logs() as logs:
        async with watch(name, store, play, timeout_s=timeout_s) as (pipeline, requests):
            verdict = await pipeline.run(target, scheduled_at=at, at=at)
        [run] = store.runs("watched", since=at)
        completions = store.completions([run.id])[run.id]
        incidents = store.incidents(open_only=True)

    assert {completion.outcome for completion in completions} <= what.outcomes(name), completions
    assert run.purpose is Purpose.WATCH
    assert verdict is not None
    assert verdict.state in ({State.STABLE} if all(c.is_ok for c in completions) else {State.INCONCLUSIVE})
    assert not incidents
    assert [c.canary_id for c in completions] == [canary.id for canary in CANARIES]
    assert 1 <= run.n_requests == sum(c.attempts for c in completions) == len(requests) <= ATTEMPTS * len(CANARIES)
    for completion in completions:
        sentence = completion.error or ""
        assert bool(sentence) == (not completion.is_ok)
        assert len(sentence) < 500
        assert sentence.isprintable()
        assert "this is a bug" not in sentence
    assert KEY not in f"{completions!r} {logs!r}"
    assert not [line for line in logs if line["event"] == "replay.unexpected"]


def test_a_trouble_has_its_outcome_and_is_no_drift_and_costs_no_more_than_its_attempts(
    name: str, fault: str, calibrated: Callable[[str, bool], Path], tmp_path: Path
) -> None:
    what = FAULTS[fault]
    path = shutil.copy(calibrated(name, what.streams), tmp_path / "watch.db")

    asyncio.run(befall(name, what, Path(path)))
