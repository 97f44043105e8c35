"""``driftwatch history TARGET``: its latest runs, newest first."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from driftwatch.cli.check import Format
from driftwatch.cli.context import CONFIG, load_settings, open_store, pick_targets, when
from driftwatch.cli.printing import show

if TYPE_CHECKING:
    from driftwatch.domain import Run, Verdict


def history(
    target: str = typer.Argument(help="The target's name in the config."),
    config: Path | None = CONFIG,
    limit: int = typer.Option(20, "--limit", "-n", min=1, max=1_000_000, help="How many runs."),
    output: Format = typer.Option(Format.TABLE, "--format", help="How to print."),
) -> None:
    """Show a target's latest runs: state, evidence, what moved, failures, cost."""
    settings = load_settings(config)
    [name] = pick_targets(settings, [target])
    with open_store(settings) as store:
        runs = store.runs(name, limit=limit, newest_first=True)
        verdicts = {verdict.run_id: verdict for verdict in store.verdicts(name, limit=limit)}
        baseline = store.current_baseline(name)
    if output is Format.JSON:
        typer.echo(json.dumps([_row(run, verdicts.get(run.id)) for run in runs], indent=2))
    elif runs:
        _print(runs, verdicts)
        if baseline is not None and baseline.expires_at is not None:
            typer.echo(
                f"\nBaseline {baseline.id} is accepted until {when(baseline.expires_at)} UTC; who changed it, and why: "
                f"driftwatch rebaseline {name} --history"
            )
    else:
        typer.echo(f"{name}: no runs yet")


def _row(run: Run, verdict: Verdict | None) -> dict[str, object]:
    return {
        "scheduled_at": run.scheduled_at.isoformat(),
        "purpose": run.purpose,
        "state": verdict.state if verdict else run.state,
        "reason": verdict.reason if verdict else None,
        "evidence": {kind.kind: kind.evidence for kind in verdict.kinds} if verdict else {},
        "channels": {c.channel: None if math.isnan(c.value) else c.value for c in verdict.channels} if verdict else {},
        "ok": run.n_ok,
        "failed": run.n_failed,
        "cost_usd": run.cost_usd,
    }


def _print(runs: list[Run], verdicts: dict[int, Verdict]) -> None:
    from rich.text import Text  # noqa: PLC0415 - slow import

    from driftwatch.cli.style import badge, gauge, table  # noqa: PLC0415 - slow import

    # A free endpoint has nothing to show there.
    costs = ["cost"] if any(run.cost_usd for run in runs) else []
    rows = table("scheduled (UTC)", "purpose", "state", "evidence", "outside calibration", "failed", *costs)
    for run in runs:
        verdict = verdicts.get(run.id)
        rows.add_row(
            when(run.scheduled_at),
            run.purpose.value,
            badge(verdict.state) if verdict else Text(run.state.value, style="dim"),
            gauge(verdict),
            ", ".join(_outside(verdict)) or "-" if verdict else "-",
            f"{run.n_failed} of {run.n_ok + run.n_failed}" if run.n_failed else "-",
            *([_cost(run)] if costs else []),
        )
    show(rows)


def _cost(run: Run) -> str:
    # While it is claimed, the run's cost is what was set aside for it.
    return "-" if run.cost_usd is None or run.state.value == "claimed" else f"${run.cost_usd:.4f}"


def _outside(verdict: Verdict) -> list[str]:
    """Channels whose latest score lies outside the middle 90 % of calibration."""
    return [c.channel for c in verdict.channels if c.value > c.calibration_high or c.value < c.calibration_low]
