"""``driftwatch status``: where every target stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from driftwatch.cli.check import Format
from driftwatch.cli.context import CONFIG, load_settings, open_store, when
from driftwatch.domain import WATCH

if TYPE_CHECKING:
    from datetime import datetime

    from driftwatch.cli.standing import Standing
    from driftwatch.config import Settings
    from driftwatch.domain import Baseline, Incident, Target
    from driftwatch.spending import Account, Pause, Used
    from driftwatch.store import Store


def status(
    config: Path | None = CONFIG, output: Format = typer.Option(Format.TABLE, "--format", help="How to print.")
) -> None:
    """Show where every target stands: state, evidence, last and next run, open incidents, and what its budget left."""
    from driftwatch import wiring  # noqa: PLC0415 - slow import
    from driftwatch.clock import WallClock  # noqa: PLC0415 - beside its use
    from driftwatch.wiring import build_targets  # noqa: PLC0415 - slow import

    settings = load_settings(config)
    # Simulated time stands where the last run left it.
    at = settings.simulation.start if settings.simulation else WallClock().now()
    with open_store(settings) as store:
        rows = [_Row(store, target, wiring.account(target, settings), at) for target in build_targets(settings)]
        own = store.incidents(target=WATCH, open_only=True)
    if output is Format.JSON:
        found = [row.as_json() for row in rows]
        typer.echo(json.dumps([*found, _own_json(own)] if own else found, indent=2))
    else:
        _print(rows, own)
        _tell_who_watches(settings)


class _Row:
    """All that is told of one target."""

    def __init__(self, store: Store, target: Target, account: Account, at: datetime) -> None:
        from driftwatch import spending  # noqa: PLC0415 - slow import
        from driftwatch.app import upcoming  # noqa: PLC0415 - slow import
        from driftwatch.cli.standing import standing  # noqa: PLC0415 - slow import

        self.target = target
        self.baseline: Baseline | None = store.current_baseline(target.name)
        self.standing: Standing = standing(store, target.name)
        runs = store.runs(target.name, limit=1, newest_first=True)
        self.last_at: datetime | None = runs[0].scheduled_at if runs else None
        now = max(at, self.last_at or at)
        self.used: list[Used] = spending.used(store, account, now)
        self.next_at: datetime = upcoming(target, self.last_at, now)
        self.pause: Pause | None = spending.next_pause(store, account, target, max(now, self.next_at))
        if self.pause is not None:
            self.next_at = upcoming(target, self.last_at, max(self.next_at, self.pause.again_at))
        self.incidents: list[Incident] = store.incidents(target=target.name, open_only=True)

    def as_json(self) -> dict[str, object]:
        verdict = self.standing.verdict
        return {
            "target": self.target.name,
            "state": self.standing.state,
            "reason": self.standing.reason,
            "evidence": {k.kind: {"m": k.evidence, "threshold": k.threshold} for k in verdict.kinds} if verdict else {},
            "last_run_at": self.last_at.isoformat() if self.last_at else None,
            "next_run_at": self.next_at.isoformat(),
            "baseline": {
                "id": self.baseline.id,
                "state": self.baseline.state,
                "author": self.baseline.author,
                "expires_at": self.baseline.expires_at.isoformat() if self.baseline.expires_at else None,
            }
            if self.baseline
            else None,
            "open_incidents": [incident.id for incident in self.incidents],
            "budget": [
                {"cap": u.cap.key, "limit": u.cap.limit, "spent": u.spent, "until": u.until.isoformat()}
                for u in self.used
            ],
            "paused": None
            if self.pause is None
            else {
                "cap": self.pause.cap.key,
                "needed": self.pause.needed,
                "until": self.pause.until.isoformat() if self.pause.until else None,
                "reason": self.pause.sentence,
            },
        }

    def budget_words(self) -> str:
        """What was spent of each cap, or why the target is paused; empty without a budget."""
        if self.pause is not None:
            return self.pause.sentence
        said = [
            f"{u.cap.in_words(u.spent)} of {u.cap.in_words(u.cap.limit)} a {u.cap.period}"
            + (" of all targets" if u.cap.target is None else "")
            for u in self.used
        ]
        return f"budget: {', '.join(said)}" if said else ""

    def expiry_words(self) -> str:
        """Until when the baseline is accepted; empty where it is for good."""
        if self.baseline is None or self.baseline.expires_at is None:
            return ""
        until = f"accepted for a while by {self.baseline.author}, until {when(self.baseline.expires_at)} UTC"
        keep = f"driftwatch rebaseline {self.target.name} --keep --reason …"
        return f"{until}: then baseline {self.baseline.parent_id} comes back; to keep it: {keep}"

    def next_words(self) -> str:
        """The step the operator would take next, empty when there is none."""
        if self.incidents:
            return f"driftwatch report {self.incidents[0].id}"
        if self.baseline is None:
            return f"driftwatch baseline {self.target.name}"
        return ""


def _tell_who_watches(settings: Settings) -> None:
    """Only what can be seen: that nothing holds a lock here says little of a file system without locks."""
    from driftwatch.upkeep import presence  # noqa: PLC0415 - slow import

    watching = presence.present(settings.store)
    for found in watching:
        typer.echo(f"\nwatched by `driftwatch serve`: {found.words}")
    if len(watching) > 1:
        typer.echo(f"  {len(watching)} watch with one database; nobody is told twice, but stop all but one")


def _own_json(own: list[Incident]) -> dict[str, object]:
    """The watch itself as one more row, in the shape of a target's."""
    return {
        "target": WATCH,
        "state": None,
        "reason": "; ".join(_headline(incident) for incident in own),
        "evidence": {},
        "last_run_at": None,
        "next_run_at": None,
        "baseline": None,
        "open_incidents": [incident.id for incident in own],
        "budget": [],
        "paused": None,
    }


def _headline(incident: Incident) -> str:
    return str(incident.evidence.get("headline") or incident.trouble)


def _called(incident: Incident) -> str:
    """E.g. ``3 (behaviour)``, or which of its troubles when it is the watch's own."""
    return f"{incident.id} ({incident.trouble or incident.kind})"


def _print(targets: list[_Row], own: list[Incident]) -> None:
    from driftwatch.cli.printing import say, show  # noqa: PLC0415 - slow import
    from driftwatch.cli.style import badge, gauge, plain, table  # noqa: PLC0415 - slow import

    rows = table("target", "state", "evidence", "last run (UTC)", "next run (UTC)", "open incidents")
    for row in targets:
        rows.add_row(
            row.target.name,
            badge(row.standing.state),
            gauge(row.standing.verdict),
            when(row.last_at),
            when(row.next_at),
            ", ".join(map(_called, row.incidents)) or "-",
        )
    show(rows)
    for incident in own:
        say(f"\n{WATCH} itself, incident {incident.id}: {plain(_headline(incident))}")
        say(f"next: driftwatch report {incident.id}", indent=2)
    for row in targets:
        say(f"\n{row.target.name}: {plain(row.standing.reason)}")
        for incident in row.incidents:
            if incident.trouble:
                say(plain(_headline(incident)), indent=2)
        if budget := row.budget_words():
            say(plain(budget), indent=2)
        if expiry := row.expiry_words():
            say(plain(expiry), indent=2)
        if step := row.next_words():
            say(f"next: {step}", indent=2)
