"""What a year of hourly runs on 50 targets tells six people: every message, and why it was worth it.

Run ``python -m benchmarks.alerts.year [--quick] [--one-channel]``; two to five minutes. Real: the detectors, telling,
incidents, groups, the store, reminders and the outbox. Simulated: endpoints, scores, people (who look at what they were
told in working hours), and Slack. A target's runs are judged in memory, all at once; only those that may cause an edge,
and the failed ones and the next after them, are written to the store and told from there. Between them nothing could be
told.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import structlog

from benchmarks.alerts.fleet import BEGIN, Trouble, Watched, Year, plan, watch
from driftwatch import reminding, telling
from driftwatch.alert import grouping, incidents
from driftwatch.alert.message import compose, compose_digest
from driftwatch.alert.outbox import Courier
from driftwatch.alert.policy import Policy
from driftwatch.alert.receiver import FOR_PEOPLE
from driftwatch.clock import stopwatch
from driftwatch.domain import (
    Announcement,
    Baseline,
    ChannelEvidence,
    Completion,
    Event,
    Incident,
    IncidentState,
    Kind,
    KindEvidence,
    Outcome,
    Purpose,
    Score,
    State,
    Verdict,
)
from driftwatch.errors import DeliveryError
from driftwatch.store import Store

SEED = 20_260_105
LOOKS = timedelta(minutes=15)
"""How long a person needs to acknowledge what came in working hours."""
MATCHES = timedelta(days=3)
"""A message is about a trouble when its incident began during it, or so long after its end."""
WHY = {
    Event.OPENED: "another target of it",
    Event.JOINED: "more targets have it: how far it reaches",
    Event.ESCALATED: "it got graver",
    Event.REOPENED: "it is back, after its end had been told",
    Event.REMINDED: "nobody had acknowledged it",
    Event.RESOLVED: "it is over: nothing is left to do",
}
FIRST = "first word of it, on a target of theirs"
LATE = "it came and went while nothing could be told: why there is a gap"


@dataclass(slots=True, kw_only=True)
class Told:
    """One message that a person got."""

    at: datetime
    receiver: str
    event: str
    title: str
    about: str
    """The trouble that it is about; empty for a false alarm."""
    why: str


@dataclass(slots=True)
class Person:
    """A Slack channel of one person, which can be dead."""

    name: str
    year: Year
    told: list[Told]
    now: datetime = BEGIN
    to_do: list[tuple[datetime, int]] = field(default_factory=list)
    """When they acknowledge which incident."""
    known: set[int] = field(default_factory=set)
    """Groups that they have heard of."""
    events = FOR_PEOPLE

    async def send(self, announcement: Announcement) -> None:
        """Take one message."""
        self._take(str(announcement.transition.event), compose(announcement).title, [announcement])

    async def send_digest(self, announcements: Sequence[Announcement]) -> None:
        """Take many in one message."""
        self._take("digest", compose_digest(announcements).title, announcements)

    def _take(self, event: str, title: str, announcements: Sequence[Announcement]) -> None:
        """Write down what it is about, and why it is worth reading, unless Slack is dead."""
        begin, end = self.year.slack_is_dead
        if begin <= self.now < end:
            raise DeliveryError("Slack answers 503", receiver=self.name, retryable=True)
        abouts = {trouble.name if (trouble := about(self.year, a.members)) else "" for a in announcements}
        self.told.append(
            Told(
                at=self.now,
                receiver=self.name,
                event=event,
                title=title,
                about=" · ".join(sorted(abouts)),
                why=self._why(event, announcements),
            )
        )
        self.to_do += [(at_work(self.now) + LOOKS, a.lead.id) for a in announcements if not a.is_over]

    def _why(self, event: str, announcements: Sequence[Announcement]) -> str:
        leads = {announcement.lead.id for announcement in announcements}
        is_news = not leads <= self.known
        self.known |= leads
        if event == "digest":
            return "what could not be told in time, in one message"
        if is_news:
            return LATE if event == Event.RESOLVED else FIRST
        return WHY[Event(event)]


def about(year: Year, members: Sequence[Incident]) -> Trouble | None:
    """The real trouble that a group is about; None: it is a false alarm."""
    for trouble in year.troubles:
        for member in members:
            is_then = trouble.since - timedelta(hours=6) <= member.onset_at <= trouble.until + MATCHES
            if member.kind is trouble.kind and member.target in trouble.targets and is_then:
                return trouble
    return None


def at_work(at: datetime) -> datetime:
    """That time, or when working hours, 9 to 17 from Monday to Friday, begin next."""
    while at.weekday() > 4 or at.hour >= 17:  # noqa: PLR2004 - Friday, and five o'clock
        at = (at + timedelta(days=1)).replace(hour=9, minute=0)
    return max(at, at.replace(hour=9, minute=0))


class Office:
    """The store and everything around it, moved by hand from hour to hour."""

    def __init__(self, year: Year, path: Path) -> None:
        self.year, self.store = year, Store.open(path)
        self.policy = Policy(target_receivers={target.name: target.receivers for target in year.targets})
        self.told: list[Told] = []
        names = {receiver for target in year.targets for receiver in target.receivers}
        self.people = {name: Person(name, year, self.told) for name in sorted(names)}
        self.courier = Courier(self.store, self.people, policy=self.policy, lease_s=0.0)
        self.runner = asyncio.Runner()
        self.baselines = {target.name: self._baseline(number) for number, target in enumerate(year.targets)}
        self.watched = [watch(year, number, seed=SEED) for number in range(len(year.targets))]
        self.follow_up: set[str] = set()
        """Targets of which the next run may cause an edge: one failed, or an incident waits for measured runs."""
        self.accepting: list[tuple[datetime, int]] = []
        self.is_calm = True

    def _baseline(self, number: int) -> Baseline:
        target = self.year.targets[number]
        begun = BEGIN - timedelta(days=8)
        baseline = self.store.start_baseline(
            target=target.name,
            series_key=f"{number:016x}",
            author="ana",
            reason="first",
            at=begun,
            anchors_wanted=4,
            calibration_wanted=168,
        )
        run = self.store.claim_run(
            target=target.name, scheduled_at=begun, purpose=Purpose.ANCHOR, baseline_id=baseline.id, at=begun
        )
        if run is None:
            raise AssertionError("nobody else claims runs here")
        replies = [
            _reply(canary.id, repeat, begun, None, "Within 30 days.")
            for canary in target.canaries
            for repeat in range(4)
        ]
        stored = self.store.record_measurement(run.id, completions=replies, scores=(), finished_at=begun, cost_usd=None)
        self.store.accept_anchors(baseline.id, [reply.id for reply in stored if reply.id is not None])
        return self.store.activate_baseline(baseline.id, at=BEGIN)

    def live(self) -> None:
        """The whole year."""
        for hour in range(self.year.n_hours):
            for number in range(len(self.year.targets)):
                self._run(number, hour)
            self._people_act(BEGIN + timedelta(hours=hour + 1))
            # The daemon looks every few seconds; twice an hour is as good where nothing else happens between.
            for half in range(2) if not self.is_calm else ():
                self._deliver(BEGIN + timedelta(hours=hour + 1, minutes=30 * half))
            if not self.is_calm:
                self.is_calm = not self.store.incidents(open_only=True) and not self.store.waiting(self.year.end)

    def _deliver(self, at: datetime) -> None:
        reminding.remind(self.store, self.policy, at=at)
        for person in self.people.values():
            person.now = at
        self.runner.run(self.courier.deliver(at=at))

    def _run(self, number: int, hour: int) -> None:
        found = self.watched[number]
        name, outcome = found.target.name, found.outcomes[hour]
        changed = hour > 0 and any(flags[hour] != flags[hour - 1] for flags in found.drifted.values())
        first = hour == 0 and any(flags[0] for flags in found.drifted.values())
        if not (outcome or changed or first or name in self.follow_up):
            return
        baseline, at = self.baselines[name], found.at[hour]
        run = self.store.claim_run(target=name, scheduled_at=at, purpose=Purpose.WATCH, baseline_id=baseline.id, at=at)
        if run is None:
            raise AssertionError("nobody else claims runs here")
        is_other = any(flags[hour] for flags in found.drifted.values())
        text = "Please look at the terms and conditions." if is_other else "Within 30 days."
        replies = [_reply(canary.id, 0, at, outcome, text) for canary in found.target.canaries]
        scores = [Score(channel=c, value=float(v[hour])) for c, v in found.scores.items()] if outcome is None else ()
        self.store.record_measurement(run.id, completions=replies, scores=scores, finished_at=at, cost_usd=None)
        (stored,) = [r for r in self.store.runs(name, since=at, until=at) if r.id == run.id]
        verdict = _verdict(found, baseline, run.id, hour)
        steps = telling.steps(
            self.store, found.target, baseline, stored, verdict, failure_threshold=3, policy=self.policy
        )
        join = partial(grouping.join, within=self.policy.group_within)
        moved = self.store.commit_judgement(verdict, steps, at=at, join=join)
        self.is_calm = self.is_calm and not moved
        standing = self.store.incidents(target=name, open_only=True)
        waits = any(i.kind in incidents.UNMEASURED or i.n_reopened for i in standing)
        if outcome or waits:
            self.follow_up.add(name)
        else:
            self.follow_up.discard(name)

    def _people_act(self, at: datetime) -> None:
        for person in self.people.values():
            due = [(when, lead_id) for when, lead_id in person.to_do if when <= at]
            person.to_do = [item for item in person.to_do if item not in due]
            for _, lead_id in due:
                self._answer(person.name, lead_id, at)
        for when, incident_id in [item for item in self.accepting if item[0] <= at]:
            self.accepting.remove((when, incident_id))
            self._accept(incident_id, at)

    def _answer(self, who: str, lead_id: int, at: datetime) -> None:
        group = self.store.group(lead_id)
        if not any(member.state is IncidentState.OPEN for member in group):
            return
        trouble = about(self.year, group)
        if trouble is None:
            steps = incidents.resolve(group, author=who, reason="looked into it: nothing is wrong", at=at)
        else:
            steps = incidents.acknowledge(group, author=who, reason="on it", at=at)
            if trouble.is_accepted:
                self.accepting.append((at_work(at + timedelta(hours=20)), lead_id))
        self.store.commit_judgement(None, steps, at=at)
        self.is_calm = False

    def _accept(self, incident_id: int, at: datetime) -> None:
        """What rebaseline does to incidents; its arithmetic is measured elsewhere."""
        (group,) = [self.store.group(incident_id)]
        number = next(n for n, target in enumerate(self.year.targets) if target.name == group[0].target)
        target = self.year.targets[number]
        baseline = self.store.start_baseline(
            target=target.name,
            series_key=f"{number:016x}",
            author="ana",
            reason="the vendor announced it",
            at=at,
            anchors_wanted=4,
            calibration_wanted=168,
            parent_id=self.baselines[target.name].id,
        )
        self.baselines[target.name] = self.store.activate_baseline(baseline.id, at=at)
        steps = incidents.superseded(
            group, baseline, author="ana", reason="the vendor announced it", at=at, receivers=target.receivers
        )
        self.store.commit_judgement(None, steps, at=at)
        self.watched[number] = watch(self.year, number, seed=SEED, accepted_at=at)
        self.is_calm = False

    def close(self) -> None:
        """Let go of the file."""
        self.runner.close()
        self.store.close()


def _reply(canary: str, repeat: int, at: datetime, outcome: Outcome | None, text: str) -> Completion:
    return Completion(
        canary_id=canary,
        canary_hash="0" * 16,
        repeat=repeat,
        outcome=outcome or Outcome.OK,
        at=at,
        latency_s=1.0,
        text="" if outcome else text,
        error=f"simulated {outcome}" if outcome else None,
    )


def _verdict(found: Watched, baseline: Baseline, run_id: int, hour: int) -> Verdict:
    kinds = []
    for kind, values in found.evidence.items():
        episode = found.episode(kind, hour)
        kinds.append(
            KindEvidence(
                kind=kind,
                evidence=float(values[hour]),
                threshold=found.target.threshold,
                is_drifted=episode is not None,
                alarm_at=found.at[episode.alarm] if episode else None,
                onset_at=found.at[episode.onset] if episode else None,
                runs_since_onset=hour - episode.onset + 1 if episode else 0,
            )
        )
    is_drifted = any(kind.is_drifted for kind in kinds)
    state = State.INCONCLUSIVE if found.outcomes[hour] else State.DRIFTED if is_drifted else State.STABLE
    return Verdict(
        run_id=run_id,
        target=found.target.name,
        baseline_id=baseline.id,
        at=found.at[hour],
        state=state,
        reason="simulated",
        n_calibration=168,
        n_monitored=hour + 1,
        kinds=tuple(kinds),
        channels=tuple(_channels(found, hour)),
    )


def _channels(found: Watched, hour: int) -> list[ChannelEvidence]:
    return [
        ChannelEvidence(
            channel=name,
            kind=Kind.BEHAVIOUR,
            share=1 / len(found.leading),
            value=float(found.scores[name][hour]),
            calibration_mean=float(found.calibration[name].mean()),
            calibration_low=0.1,
            calibration_high=0.3,
            since_onset_mean=float(found.scores[name][hour]),
        )
        for name in found.leading
    ]


def report(year: Year, told: Sequence[Told], stored: Sequence[Incident]) -> str:
    """Every message, and how many there were, as Markdown."""
    by_person: Mapping[str, Counter[str]] = defaultdict(Counter)
    for message in told:
        by_person[message.receiver][message.event] += 1
    events = [*map(str, (e for e in Event if e in FOR_PEOPLE)), "digest"]
    days = year.n_hours / 24
    groups = {incident.lead_id for incident in stored}
    false = [i for i in stored if about(year, [m for m in stored if m.lead_id == i.lead_id]) is None]
    lines = [
        (
            f"{len(year.targets)} targets, hourly for {days:.0f} days: {len(year.targets) * year.n_hours:,} runs, "
            f"{len(stored)} incidents in {len(groups)} groups, {len(false)} of them false alarms, {len(told)} messages."
        ),
        "",
        "| person | messages | a week | " + " | ".join(events) + " |",
        "|---" * (len(events) + 3) + "|",
    ]
    for person in sorted(by_person):
        counts = by_person[person]
        row = " | ".join(str(counts[event]) for event in events)
        lines.append(f"| {person} | {counts.total()} | {counts.total() / days * 7:.2f} | {row} |")
    totals = Counter(message.event for message in told)
    row = " | ".join(str(totals[event]) for event in events)
    per_week = len(told) / days * 7 / max(1, len(by_person))
    lines += [
        f"| all | {len(told)} | {per_week:.2f} each | {row} |",
        "",
        "| trouble | messages | to | most to one |",
        "|---|---|---|---|",
    ]
    for name in [*(trouble.name for trouble in year.troubles), ""]:
        those = Counter(message.receiver for message in told if message.about == name)
        most = max(those.values(), default=0)
        lines.append(f"| {name or 'none: a false alarm'} | {those.total()} | {len(those)} | {most} |")
    lines += ["", "| time | to | event | title | about | worth it because |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {m.at:%a %d %b %H:%M} | {m.receiver} | {m.event} | {m.title} | {m.about or '**false alarm**'} | {m.why} |"
        for m in told
    ]
    return "\n".join(lines)


def main() -> None:
    """Live it and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fifteen targets, seven weeks")
    parser.add_argument("--one-channel", action="store_true", help="one channel is told of every target")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    n_targets, n_days = (15, 49) if options.quick else (50, 364)
    year = plan(n_targets, n_days, is_one_channel=options.one_channel)
    elapsed_s = stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        office = Office(year, Path(folder) / "year.db")
        try:
            office.live()
            print(report(year, office.told, office.store.incidents()))
        finally:
            office.close()
    print(f"\nseed {SEED}, {elapsed_s():.0f} s")


if __name__ == "__main__":
    main()
