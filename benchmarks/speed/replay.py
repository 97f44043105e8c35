"""How fast driftwatch asks: completions through its own path beside bare httpx, and 1,000 targets due in one minute.

Run ``python -m benchmarks.speed.replay``; ``--quick`` is a tiny version that the tests run.

All sides are in this process and ask the same server, which is in another. A round is short and times them one after
the other, in an order that rotates, so that whatever else the machine does falls on all of them alike.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import structlog

from benchmarks.speed.vendor import vendor_beside
from driftwatch.app import App
from driftwatch.config import load
from driftwatch.domain import Canary, Completion, Message, Purpose, RunState, Target
from driftwatch.pipeline import Line, Pipeline
from driftwatch.providers import PROVIDERS, Connection, Provider
from driftwatch.replay import Gate, RetryPolicy, replay
from driftwatch.score import score
from driftwatch.store import Store

AT = datetime(2026, 3, 2, tzinfo=UTC)
KEY = "sk-benchmark-0123456789abcdef"
GOAL = 0.85
CONCURRENCY = 8
N_CANARIES = 20
QUESTION = "How long may I keep an article before I can no longer return it, and who pays for its way back? "
"""About 100 characters; a canary asks it five times over."""
PARAMETERS = {"temperature": 0, "max_tokens": 200}


@dataclass(frozen=True, slots=True)
class Took:
    """How long one side took for one round."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is asked."""

    per_target: int
    """Completions of one run; a multiple of N_CANARIES."""
    targets: int
    """Whose runs are under way at once."""
    rounds: int
    fleet: int
    """Targets due in the same minute."""

    @property
    def requests(self) -> int:
        """Completions of one side in one round."""
        return self.per_target * self.targets


FULL = Sizes(per_target=500, targets=1, rounds=20, fleet=1000)
QUICK = Sizes(per_target=2 * N_CANARIES, targets=2, rounds=1, fleet=5)


async def timed(work: Callable[[], Awaitable[object]]) -> Took:
    """Run it once."""
    wall, cpu = time.perf_counter(), time.process_time()
    await work()
    return Took(time.perf_counter() - wall, time.process_time() - cpu)


def rss_mb() -> float:
    """Memory of this process that is resident now, MB. Linux only; 0 elsewhere."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6 if statm.exists() else 0.0


# ---------------------------------------------------------------- the two sides


async def bare(base_url: str, n: int) -> None:
    """The same requests with httpx alone: as many in flight, the body built and the reply parsed each time."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}", "Accept-Encoding": "identity"}
    numbers = iter(range(n))
    async with httpx.AsyncClient(limits=limits, headers=headers) as client:

        async def worker() -> None:
            for i in numbers:
                message = {"role": "user", "content": _question(i % N_CANARIES)}
                body = json.dumps({"model": "m", "messages": [message], **PARAMETERS}).encode()
                response = await client.post(f"{base_url}/chat/completions", content=body)
                json.loads(response.content)["choices"][0]["message"]["content"]

        await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))


class Side:
    """Runs of a few targets into a database of their own, with or without what comes after the storing."""

    def __init__(self, base_url: str, folder: Path, sizes: Sizes, *, is_judged: bool) -> None:
        self._is_judged, self._round = is_judged, 0
        canaries = tuple(
            Canary(id=f"speed/c{i}", suite="speed", messages=(Message(role="user", content=_question(i)),))
            for i in range(N_CANARIES)
        )
        self.targets = [
            Target(
                name=f"t{i}",
                provider="openai_compatible",
                model="m",
                base_url=base_url,
                canaries=canaries,
                parameters=PARAMETERS,
                repeats=sizes.per_target // N_CANARIES,
            )
            for i in range(sizes.targets)
        ]
        self.store = Store.open(folder / ("judged.db" if is_judged else "stored.db"))
        self.provider = _provider(base_url)
        self._gate = Gate(CONCURRENCY)
        self._gate.allowed = CONCURRENCY  # the other side is not asked to begin gently either
        line = Line(provider=self.provider, gate=self._gate)
        self.pipeline = Pipeline(store=self.store, lines={target.name: line for target in self.targets}, embedder=None)
        self.n_ok = 0

    async def round(self) -> None:
        """One run of each target, all at once."""
        at = AT + timedelta(hours=self._round)
        self._round += 1
        run = self._judged if self._is_judged else self._stored
        await asyncio.gather(*(run(target, at) for target in self.targets))

    async def _judged(self, target: Target, at: datetime) -> None:
        await self.pipeline.run(target, scheduled_at=at, at=at, on_completion=self._count)

    async def _stored(self, target: Target, at: datetime) -> None:
        """What ``Pipeline.run`` does up to the storing, and nothing after it."""
        baseline = await asyncio.to_thread(self.pipeline.baseline_for, target, at)
        run = await asyncio.to_thread(
            self.store.claim_run,
            target=target.name,
            scheduled_at=at,
            purpose=Purpose.CALIBRATION,
            baseline_id=baseline.id,
            at=at,
        )
        assert run is not None  # noqa: S101 - nobody else is there
        async with self._gate.run(1800.0):
            completions = await replay(
                target,
                self.provider,
                at=at,
                gate=self._gate,
                retry=RetryPolicy(),
                deadline_s=1800.0,
                on_completion=self._count,
            )
            await asyncio.to_thread(
                self.store.record_measurement, run.id, completions=completions, scores=(), finished_at=at, cost_usd=None
            )

    def _count(self, completion: Completion) -> None:
        self.n_ok += completion.is_ok

    async def close(self) -> None:
        """Release what it holds."""
        await self.provider.aclose()
        self.store.close()


def _provider(base_url: str) -> Provider:
    # Connections are kept as bare httpx keeps them: closing every 16th is a choice, with a price of its own.
    return PROVIDERS["openai_compatible"](
        Connection(base_url=base_url, read_key=lambda: KEY, requests_per_connection=0)
    )


def _question(i: int) -> str:
    return f"{i}: {QUESTION * 5}"


# ---------------------------------------------------------------- beside httpx


async def beside_httpx(base_url: str, folder: Path, sizes: Sizes) -> str:
    """The table of ratios, what scoring costs, and the memory."""
    stored = Side(base_url, folder, sizes, is_judged=False)
    scored = Side(base_url, folder, sizes, is_judged=True)
    sides: Mapping[str, Callable[[], Awaitable[object]]] = {
        "httpx": lambda: bare(base_url, sizes.requests),
        "stored": stored.round,
        "scored": scored.round,
    }
    # What was imported is not looked at again by the collector of garbage: the daemon starts so too.
    gc.collect()
    gc.freeze()
    await bare(base_url, CONCURRENCY * 10)
    await scored.round()  # the anchors
    scored.n_ok = 0
    took: dict[str, list[Took]] = {name: [] for name in sides}
    memory_mb = [rss_mb()]
    for number in range(sizes.rounds):
        names = list(sides)
        for name in names[number % 3 :] + names[: number % 3]:
            took[name].append(await timed(sides[name]))
        memory_mb.append(rss_mb())
    assert stored.n_ok == scored.n_ok == sizes.requests * sizes.rounds  # noqa: S101 - else the times mean nothing
    scoring_us = 1e6 * _scoring_s(scored) / sizes.per_target
    await stored.close()
    await scored.close()
    rows = [
        _row("bare httpx", took["httpx"], took["httpx"], sizes),
        _row("replayed and stored", took["stored"], took["httpx"], sizes),
        _row("and scored and judged", took["scored"], took["httpx"], sizes),
    ]
    return f"""\
### Throughput beside bare httpx

{sizes.rounds * sizes.requests:,} completions a side in {sizes.rounds} rounds; runs of {sizes.per_target}, so many
under way at once: {sizes.targets}; {CONCURRENCY} requests in flight, a SQLite file, embedder off, the server in another
process. Figures over all rounds, in brackets the quartiles of the rounds; goal: {GOAL:.0%}.

| side | completions/s | share of httpx | processor µs each | share by processor time |
|---|---|---|---|---|
{chr(10).join(rows)}

Scoring alone takes {scoring_us:.0f} µs of processor time a completion (all channels but meaning).
Memory before the rounds, after the first and after the last: {_figures(memory_mb[0], memory_mb[1], memory_mb[-1])} MB.
"""


def _figures(*values: float) -> str:
    return ", ".join(f"{value:.0f}" for value in values)


def _row(name: str, took: Sequence[Took], httpx_took: Sequence[Took], sizes: Sizes) -> str:
    wall_s, httpx_wall_s = [one.wall_s for one in took], [one.wall_s for one in httpx_took]
    cpu_s, httpx_cpu_s = [one.cpu_s for one in took], [one.cpu_s for one in httpx_took]
    rate = sizes.requests * len(took) / sum(wall_s)
    cpu_us = 1e6 * sum(cpu_s) / len(took) / sizes.requests
    return f"| {name} | {rate:,.0f} | {_share(httpx_wall_s, wall_s)} | {cpu_us:,.0f} | {_share(httpx_cpu_s, cpu_s)} |"


def _share(theirs: Sequence[float], ours: Sequence[float]) -> str:
    shares = [one / other for one, other in zip(theirs, ours, strict=True)]
    low, _, high = statistics.quantiles(shares, n=4) if len(shares) > 1 else shares * 3
    return f"{sum(theirs) / sum(ours):.0%} ({low:.0%} … {high:.0%})"


def _scoring_s(side: Side) -> float:
    """Seconds of processor time that scoring one run takes."""
    target = side.targets[0]
    baseline = side.store.current_baseline(target.name)
    assert baseline is not None  # noqa: S101 - it has just been filled
    reference = side.pipeline.reference_for(target, baseline)
    run = side.store.runs(target.name, limit=1, newest_first=True)[0]
    completions = side.store.completions([run.id])[run.id]
    start = time.process_time()
    score(reference, completions)
    return time.process_time() - start


# ---------------------------------------------------------------- a thousand targets


class Counting:
    """A provider that counts what is asked of it."""

    def __init__(self, provider: Provider) -> None:
        self._provider, self.unsent = provider, provider.unsent
        self.n = self.in_flight = self.peak = 0

    async def complete(self, target: Target, canary: Canary, *, repeat: int, at: datetime) -> Completion:
        """Ask the real one."""
        self.n += 1
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            return await self._provider.complete(target, canary, repeat=repeat, at=at)
        finally:
            self.in_flight -= 1

    async def aclose(self) -> None:
        """Close the real one."""
        await self._provider.aclose()


async def fleet(base_url: str, folder: Path, n: int) -> str:
    """All targets due in the same minute, in two daemons over one database."""
    began = time.perf_counter()
    apps = [_app(base_url, folder, n) for _ in range(2)]
    built_s = (time.perf_counter() - began) / 2
    counters = []
    for app in apps:
        # They share one provider, as they share endpoint and key.
        counter = Counting(next(iter(app.lines.values())).provider)
        counters.append(counter)
        app.lines.update({name: replace(line, provider=counter) for name, line in app.lines.items()})
    before_mb = rss_mb()
    peaks_mb: list[float] = []

    async def daemon(app: App) -> None:
        await app._tick(AT + timedelta(minutes=1))  # noqa: SLF001 - what the scheduler calls
        while app._in_flight:  # noqa: SLF001
            peaks_mb.append(rss_mb())
            await asyncio.sleep(0.05)

    took = await timed(lambda: asyncio.gather(*(daemon(app) for app in apps)))
    states = [run.state for run in apps[0].store.runs(None)]
    asked, peak = sum(counter.n for counter in counters), max(counter.peak for counter in counters)
    for app in apps:
        await app.close()
    made = sum(state is RunState.JUDGED for state in states)
    return f"""\
### {n:,} targets due in the same minute

Two daemons over one database; {FLEET_CANARIES} canaries × {FLEET_ANCHORS} requests for each target; {CONCURRENCY}
in flight for each daemon.

| | |
|---|---|
| runs made, of those claimed | {made:,} of {len(states):,} |
| requests, of which asked twice | {asked:,}, {asked - n * FLEET_CANARIES * FLEET_ANCHORS:,} |
| all done after | {took.wall_s:.1f} s, {took.cpu_s:.1f} s of processor time |
| most in flight, of a daemon | {peak} |
| memory before and at most | {before_mb:.0f} and {max(peaks_mb, default=before_mb):.0f} MB |
| a daemon was built in | {built_s:.1f} s |
"""


FLEET_CANARIES, FLEET_ANCHORS = 3, 2


def _app(base_url: str, folder: Path, n: int) -> App:
    target = {
        "provider": "openai_compatible",
        "model": "m",
        "base_url": base_url,
        "interval": "1h",
        "jitter": "0s",
        "concurrency": CONCURRENCY,
    }
    suite = {
        "suite": "speed",
        "canaries": [
            {"id": f"c{i}", "reason": "to be asked", "prompt": f"{i}: {QUESTION}"} for i in range(FLEET_CANARIES)
        ],
    }
    (folder / "suites").mkdir(exist_ok=True)
    (folder / "suites" / "speed.yaml").write_text(json.dumps(suite))
    config = {
        "store": str(folder / "fleet.db"),
        "embedder": "off",
        "canaries": [str(folder / "suites")],
        "baseline": {"anchors": FLEET_ANCHORS, "calibration_runs": 20},
        "targets": {f"t{i:04d}": target for i in range(n)},
    }
    file = folder / "driftwatch.yaml"
    file.write_text(json.dumps(config))
    return App(load(file, {}, providers=PROVIDERS), env={}, write=lambda _: None)


# ---------------------------------------------------------------- the command


async def measure(sizes: Sizes) -> str:
    """Both sections, as Markdown."""
    with tempfile.TemporaryDirectory() as name, vendor_beside("openai_compatible") as base_url:
        folder = Path(name)
        return await beside_httpx(base_url, folder, sizes) + "\n" + await fleet(base_url, folder, sizes.fleet)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny version that measures nothing")
    wanted = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        text = asyncio.run(measure(QUICK if wanted.quick else FULL))
    finally:
        structlog.reset_defaults()
    print(text)
    print(f"Python {platform.python_version()}, httpx {httpx.__version__}, {os.cpu_count()} processors.")


if __name__ == "__main__":
    main()
