"""``/metrics`` for Prometheus, worked out from the database and the program when it is asked for.

Counters of runs, completions, dollars and notifications are sums over the database: they go on where they were after a
restart, and count what other processes do. Tokens and durations are known of single replies only, which are deleted
after ``retention_days``: they are counted from the start of the process on, as Prometheus expects of a program that was
restarted. No label holds a prompt, a reply or a user.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections.abc import Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from driftwatch import __version__
from driftwatch.app import App
from driftwatch.domain import IncidentState, Kind, NotificationState, Severity, State
from driftwatch.errors import DriftwatchError
from driftwatch.judgement import MAX_FAILURE_SHARE
from driftwatch.upkeep.keeping import disk_space

BUCKETS_S = (0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Upper ends of the buckets of a request's duration, s. Source: OpenTelemetry semantic conventions for generative AI,
advice for ``gen_ai.client.operation.duration``; without its three shortest, which no model answers in."""

OUTCOMES = ("measured", "failed", "interrupted")


class Metrics:
    """A registry of its own with one collector: nothing of the process that hosts it, nothing left from tests.

    Args:
        app: what is told of. Asked from any thread.
    """

    def __init__(self, app: App) -> None:
        self._collector = _Collector(app)
        self._registry = CollectorRegistry(auto_describe=False)
        # prometheus-client's Collector is a protocol by shape.
        self._registry.register(self._collector)

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """The metrics in the format that the other side accepts, and its content type.

        Args:
            accept: the Accept header; Prometheus' text format 0.0.4 where it names nothing else that is known.
        """
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    async def endpoint(self, request: Request) -> Response:
        """Answer a scrape: in a thread, since it reads the database."""
        body, content_type = await run_in_threadpool(self.text, request.headers.get("Accept", ""))
        return Response(body, media_type=content_type, headers={"Cache-Control": "no-store"})


class _Collector:
    """Reads what is new since the last scrape and adds it up."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._last_run_id, self._unfinished = 0, tuple[int, ...]()
        self._runs: dict[tuple[str, str], int] = {}
        self._completions: dict[tuple[str, str], int] = {}
        self._cost: dict[str, float] = {}
        self._success: dict[str, datetime] = {}
        self._tokens: dict[tuple[str, str], int] = {}
        self._buckets: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}
        self._last_completion_id: int | None = None

    def collect(self) -> Iterator[Metric]:
        """One scrape. While the database cannot be read, what is known without it is told all the same."""
        with self._lock:
            yield from self._of_the_program()
            up = GaugeMetricFamily("driftwatch_store_up", "Whether the database can be read and written.")
            try:
                found = [*self._of_runs(), *self._of_verdicts(), *self._of_alerts()]
            except DriftwatchError:
                up.add_metric([], 0)
                yield up
                return
            up.add_metric([], 1 if self._app.health().is_writable else 0)
            yield up
            yield from found

    # ------------------------------------------------------------ without the database

    def _of_the_program(self) -> Iterator[Metric]:
        app, health = self._app, self._app.health()
        info = GaugeMetricFamily("driftwatch_build_info", "Always 1; the version is the label.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        if health.last_tick_age_s is not None:
            yield GaugeMetricFamily(
                "driftwatch_scheduler_tick_age_seconds",
                "How long ago the scheduler last looked at the clock; it looks every 30 s.",
                value=health.last_tick_age_s,
            )
        yield GaugeMetricFamily("driftwatch_runs_in_flight", "Runs under way.", value=health.runs_in_flight)
        paused = GaugeMetricFamily(
            "driftwatch_budget_paused", "Whether a target waits for its budget.", labels=["target"]
        )
        interval = GaugeMetricFamily(
            "driftwatch_interval_seconds", "Time between two runs of a target.", labels=["target"]
        )
        for target in app.targets:
            paused.add_metric([target.name], 1 if target.name in health.paused else 0)
            interval.add_metric([target.name], target.interval_s)
        yield paused
        yield interval
        try:
            space = disk_space(app.settings.store.absolute().parent)
        except OSError:
            return
        yield GaugeMetricFamily(
            "driftwatch_store_free_bytes", "Room on the file system of the database.", value=space.free_bytes
        )
        yield GaugeMetricFamily(
            "driftwatch_store_size_bytes", "Size of the file system of the database.", value=space.total_bytes
        )

    # ------------------------------------------------------------ from the database

    def _of_runs(self) -> list[Metric]:
        self._count_runs()
        self._count_completions()
        runs = CounterMetricFamily(
            "driftwatch_runs",
            "Runs that ended: measured, failed (too many requests failed to judge it) or interrupted.",
            labels=["target", "outcome"],
        )
        completions = CounterMetricFamily(
            "driftwatch_completions", "Requests that were answered, or failed.", labels=["target", "outcome"]
        )
        cost = CounterMetricFamily(
            "driftwatch_cost_usd", "Estimated cost of all runs, where the price is known.", labels=["target"]
        )
        success = GaugeMetricFamily(
            "driftwatch_last_success_timestamp_seconds",
            "When the latest run that could be measured ended; absent before the first.",
            labels=["target"],
        )
        tokens = CounterMetricFamily(
            "driftwatch_tokens", "Tokens since the start of this process.", labels=["target", "type"]
        )
        seconds = HistogramMetricFamily(
            "driftwatch_request_duration_seconds",
            "How long requests took, those that failed included, since the start of this process.",
            labels=["target"],
        )
        names = [target.name for target in self._app.targets]
        for target in names:
            for outcome in OUTCOMES:
                self._runs.setdefault((target, outcome), 0)
        for (target, outcome), n in sorted(self._runs.items()):
            runs.add_metric([target, outcome], n)
        for (target, outcome), n in sorted(self._completions.items()):
            completions.add_metric([target, outcome], n)
        for target, usd in sorted(self._cost.items()):
            cost.add_metric([target], usd)
        for target, at in sorted(self._success.items()):
            success.add_metric([target], at.timestamp())
        for (target, kind), n in sorted(self._tokens.items()):
            tokens.add_metric([target, kind], n)
        for target, counts in sorted(self._buckets.items()):
            seconds.add_metric([target], _cumulated(counts), self._seconds[target])
        return [runs, completions, cost, success, tokens, seconds]

    def _count_runs(self) -> None:
        new = self._app.store.run_sums(
            after_id=self._last_run_id, unfinished=self._unfinished, failure_share=MAX_FAILURE_SHARE
        )
        self._last_run_id, self._unfinished = new.last_id, new.unfinished
        watched = {target.name for target in self._app.targets}
        for found in new.sums:
            target = found.target
            if target not in watched:
                continue  # has left the config, or stands for what a baseline's file brought in
            self._runs[target, found.outcome] = self._runs.get((target, found.outcome), 0) + found.n_runs
            for outcome, n in (("ok", found.n_ok), ("failed", found.n_failed)):
                self._completions[target, outcome] = self._completions.get((target, outcome), 0) + n
            self._cost[target] = self._cost.get(target, 0.0) + found.cost_usd
            if found.outcome == "measured" and found.last_finished_at is not None:
                self._success[target] = max(found.last_finished_at, self._success.get(target, found.last_finished_at))

    def _count_completions(self) -> None:
        until_id = self._app.store.last_completion_id()
        after_id = until_id if self._last_completion_id is None else self._last_completion_id
        self._last_completion_id = until_id
        if until_id <= after_id:  # smaller: all of them were deleted meanwhile
            return
        for one in self._app.store.asked(after_id=after_id, until_id=until_id):
            for kind, n in (("input", one.input_tokens), ("output", one.output_tokens)):
                self._tokens[one.target, kind] = self._tokens.get((one.target, kind), 0) + n
            counts = self._buckets.setdefault(one.target, [0] * (len(BUCKETS_S) + 1))
            counts[bisect_left(BUCKETS_S, one.latency_s)] += 1
            self._seconds[one.target] = self._seconds.get(one.target, 0.0) + one.latency_s

    def _of_verdicts(self) -> list[Metric]:
        score = GaugeMetricFamily(
            "driftwatch_channel_score", "Score of the latest run in a channel, 0 to 1.", labels=["target", "channel"]
        )
        ratio = GaugeMetricFamily(
            "driftwatch_evidence_ratio",
            "Evidence for drift as a share of the alarm threshold: an alarm is raised at 1.",
            labels=["target", "kind"],
        )
        state = GaugeMetricFamily(
            "driftwatch_state", "1 for the state of a target, 0 for the others.", labels=["target", "state"]
        )
        latest = self._app.store.latest_verdicts([target.name for target in self._app.targets])
        for name, verdict in sorted(latest.items()):
            for channel in verdict.channels:
                if not math.isnan(channel.value):
                    score.add_metric([name, channel.channel], channel.value)
            for kind in verdict.kinds:
                if kind.problem is None:
                    ratio.add_metric([name, kind.kind.value], kind.evidence / kind.threshold)
            for each in State:
                state.add_metric([name, each.value], 1 if verdict.state is each else 0)
        return [score, ratio, state]

    def _of_alerts(self) -> list[Metric]:
        sent = CounterMetricFamily(
            "driftwatch_notifications",
            "Notifications that were sent, refused for good (dead) or not worth it (muted), and attempts that failed.",
            labels=["receiver", "outcome"],
        )
        waiting = GaugeMetricFamily(
            "driftwatch_notifications_waiting", "Notifications that are not sent yet.", labels=["receiver"]
        )
        deliveries = self._app.store.deliveries()
        for receiver in sorted({*deliveries, *self._app.settings.receivers}):
            found = deliveries.get(receiver)
            by_state = found.n_by_state if found else {}
            for outcome in (NotificationState.SENT, NotificationState.DEAD, NotificationState.MUTED):
                sent.add_metric([receiver, outcome.value], by_state.get(outcome, 0))
            sent.add_metric([receiver, "failed"], found.n_failed_attempts if found else 0)
            waiting.add_metric([receiver], by_state.get(NotificationState.PENDING, 0))
        labels = ["kind", "severity"]
        open_ = GaugeMetricFamily("driftwatch_incidents_open", "Incidents that are not resolved.", labels=labels)
        alone = GaugeMetricFamily(
            "driftwatch_incidents_unacknowledged", "Incidents that nobody has acknowledged.", labels=labels
        )
        incidents = self._app.store.incidents(open_only=True)
        for kind in Kind:
            for severity in Severity:
                those = [i for i in incidents if i.kind is kind and i.severity is severity]
                open_.add_metric([kind.value, severity.value], len(those))
                n_alone = sum(incident.state is IncidentState.OPEN for incident in those)
                alone.add_metric([kind.value, severity.value], n_alone)
        return [sent, waiting, open_, alone]


def _cumulated(counts: list[int]) -> list[tuple[str, float]]:
    total = 0
    buckets = []
    for end, n in zip([*map(str, BUCKETS_S), "+Inf"], counts, strict=True):
        total += n
        buckets.append((end, float(total)))
    return buckets
