"""A plan as an engineer reads it at a glance, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from driftwatch.cli.context import console
from driftwatch.cli.style import plain, table
from driftwatch.plan import AS_FAST, CHANGES, ONE_WORD_SHIFTS, SWAP, Delay, Forecast, Wish, rerouted_share
from driftwatch.plan.words import DAY_S, dollars, duration, span
from driftwatch.usage import Cost

LONG_CALIBRATION_S = 30 * DAY_S
"""A calibration that takes longer is warned of."""

Told = tuple[Forecast, Wish, Forecast | None]
"""A target's present setting, what was wished for, and the setting that meets it or comes closest."""


def as_json(present: Forecast, wish: Wish, proposed: Forecast | None) -> dict[str, object]:
    """One target's plan.

    Keys: ``target``, ``model``; ``present`` and ``proposed`` (null without a wish), each a setting; ``wish`` (null
    without one): ``change``, ``usd_per_month`` or ``delay_s``, ``is_met``.

    A setting: ``interval`` and ``repeats`` as the config takes them, ``canaries``; ``cost`` → ``per_run``,
    ``per_month`` (30.44 days), ``per_year`` and ``baseline`` (once) → ``requests``, ``input_tokens``,
    ``output_tokens``, ``usd`` (null: price unknown); ``price`` in USD per million tokens with its ``source``, or
    null; ``tokens``: measured or estimated; ``burst_share``: runs added by confirmation bursts; ``alarm`` →
    ``budget`` in words, ``threshold``, ``false_alarms_per_year`` (at most, on average); ``calibration`` → ``runs``,
    ``seconds``; ``noise``: null, or channel → ``mean`` and ``sd`` from run to run; ``delays`` → ``small``,
    ``medium``, ``large`` and ``swap`` → ``sd`` (null for swap), ``median_runs``, ``p90_runs``, ``median_s``,
    ``p90_s`` (null: never); ``visible_sd`` → ``day``, ``week`` (null: nothing is); ``shortest`` → ``runs``,
    ``seconds`` from the first run after a change.
    """
    asked: dict[str, object] | None = None
    if wish.answer is not None:
        asked = {"change": wish.change, "is_met": wish.answer.is_met}
        asked |= {"usd_per_month": wish.usd_per_month} if wish.usd_per_month is not None else {"delay_s": wish.seconds}
    return {
        "target": present.target.name,
        "model": present.target.model,
        "present": _setting(present),
        "wish": asked,
        "proposed": None if proposed is None else _setting(proposed),
    }


def show(told: Sequence[Told]) -> None:
    """Print every target's plan, and the sum where there are several."""
    out = console()
    for position, (present, wish, proposed) in enumerate(told):
        if position:
            out.print()
        _show(present, wish, proposed)
    if len(told) > 1:
        usd = [present.per_month.usd for present, _, _ in told]
        known = [amount for amount in usd if amount is not None]
        unknown = f", and {len(usd) - len(known)} of unknown price" if len(known) < len(usd) else ""
        requests = sum(present.per_month.requests for present, _, _ in told)
        out.print(f"\nTogether: {requests:,.0f} requests and {dollars(sum(known))} a month{unknown}.")


# ---------------------------------------------------------------- JSON


def _setting(made: Forecast) -> dict[str, object]:
    price, target = made.price, made.target
    costs = {"per_run": made.per_run, "per_month": made.per_month, "per_year": made.per_year, "baseline": made.baseline}
    return {
        "interval": duration(target.interval_s),
        "repeats": target.repeats,
        "canaries": len(target.canaries),
        "cost": {name: _cost(cost) for name, cost in costs.items()},
        "price": price and {"input_usd": price.input_usd, "output_usd": price.output_usd, "source": price.source},
        "tokens": "measured" if made.has_measured_tokens else "estimated",
        "burst_share": round(made.watch.burst_share, 4),
        "alarm": {
            "budget": target.alarm_budget,
            "threshold": target.threshold,
            "false_alarms_per_year": round(made.false_alarms_per_year, 6),
        },
        "calibration": {"runs": made.watch.n_calibration, "seconds": made.calibration_s},
        "noise": {name: {"mean": s.mean, "sd": s.sd} for name, s in made.noise.measured.items()} or None,
        "delays": {
            name: {
                "sd": CHANGES.get(name),
                "median_runs": _finite(found.runs),
                "p90_runs": _finite(found.runs_90),
                "median_s": _finite(found.seconds),
                "p90_s": _finite(found.seconds_90),
            }
            for name, found in made.delays.items()
        },
        "visible_sd": {"day": _finite(made.visible_in_a_day_sd), "week": _finite(made.visible_in_a_week_sd)},
        "shortest": {"runs": made.shortest_runs, "seconds": made.shortest_s},
    }


def _cost(cost: Cost) -> dict[str, float | None]:
    return {
        "requests": round(cost.requests, 1),
        "input_tokens": round(cost.input_tokens),
        "output_tokens": round(cost.output_tokens),
        "usd": None if cost.usd is None else round(cost.usd, 6),
    }


def _finite(number: float | None) -> float | None:
    return None if number is None or math.isinf(number) else round(number, 2)


# ---------------------------------------------------------------- text


def _show(present: Forecast, wish: Wish, proposed: Forecast | None) -> None:
    out = console()
    target = present.target
    n = len(target.canaries)
    asked = f"{n} {'canary' if n == 1 else 'canaries'}, repeats {target.repeats}, every {duration(target.interval_s)}"
    out.print(Text(target.name, style="bold") + Text(f"  {plain(target.provider)} {plain(target.model)} · {asked}"))
    out.print()
    costs = _table("cost", "requests", "tokens in", "tokens out", "US dollars")
    for name, cost in (
        ("a run", present.per_run),
        ("a month", present.per_month),
        ("a year", present.per_year),
        ("the baseline, once", present.baseline),
    ):
        figures = (cost.requests, cost.input_tokens, cost.output_tokens)
        costs.add_row(name, *(f"{figure:,.0f}" for figure in figures), "?" if cost.usd is None else dollars(cost.usd))
    out.print(Padding(costs, (0, 0, 0, 2)))
    _say(_cost_words(present))
    out.print()
    delays = _table("change", "about like", "told after", "9 in 10 within", "runs")
    for name, found in present.delays.items():
        delays.add_row(_change(name), _about(present, name), span(found.seconds), span(found.seconds_90), _runs(found))
    out.print(Padding(delays, (0, 0, 0, 2)))
    for sentence in _delay_words(present):
        _say(sentence)
    out.print()
    for sentence in _alarm_words(present):
        _say(sentence)
    if proposed is not None and wish.answer is not None:
        out.print()
        _propose(present, wish, proposed)


def _cost_words(made: Forecast) -> str:
    tokens = "as the latest replies took" if made.has_measured_tokens else "estimated, replies at their longest"
    bursts = f"confirmation bursts included (+{made.watch.burst_share:.1%} runs)"
    if made.price is None:
        return (
            f"The price of {made.target.model} is not known: write price: {{input: …, output: …}} for "
            f"{made.target.name}, in US dollars per million tokens. Tokens {tokens}; {bursts}."
        )
    price = f"${made.price.input_usd:g} in and ${made.price.output_usd:g} out per million tokens ({made.price.source})"
    return f"At {price}; tokens {tokens}; {bursts}."


def _delay_words(made: Forecast) -> list[str]:
    spreads = sorted(made.noise.measured.items(), key=lambda item: item[1].mean, reverse=True)
    shifts = ", ".join(f"{shift:.2f}".lstrip("0") for shift in ONE_WORD_SHIFTS.values())
    if spreads:
        moves = ", ".join(f"{name} {spread.sd:.2g}" for name, spread in spreads)
        noise = f"1 sd, measured on {made.noise.n_calibration} calibration runs: {moves}."
    else:
        noise = "sd: a channel's standard deviation from run to run; not measured yet, so sizes are relative to it."
    day, week = made.visible_in_a_day_sd, made.visible_in_a_week_sd
    if week is None:
        seen = "No change is visible within a week."
    elif day is None:
        seen = f"Visible within a week: {week:.2g} sd; within a day: nothing."
    else:
        seen = f"Smallest change visible within a day: {day:.2g} sd; within a week: {week:.2g} sd (medians)."
    return [
        f"{noise} For 26 one-word prompts × 10 answers, 1, 2 and 4 sd are shifts of {shifts} in total variation.",
        seen,
        (
            f"No rank detector could alarm before run {made.shortest_runs} after a change: "
            f"{span(made.shortest_s)} after the first."
        ),
    ]


def _alarm_words(made: Forecast) -> list[str]:
    said = f"{made.target.alarm_budget}: " if made.target.alarm_budget else ""
    calibration = f"Calibration: {made.watch.n_calibration} runs"
    if made.noise.n_calibration is None:
        calibration += f", which take {span(made.calibration_s)}"
    waiting = _wait_words(made) if made.noise.n_calibration is None else []
    return [
        (
            f"Alarm budget: {said}an alarm takes evidence A = {made.target.threshold:,.0f}; "
            f"at most {made.false_alarms_per_year:.2g} false alarms a year expected."
        ),
        f"{calibration}.",
        *waiting,
    ]


def _wait_words(made: Forecast) -> list[str]:
    """A warning where the calibration takes long."""
    if made.calibration_s <= LONG_CALIBRATION_S:
        return []
    return [
        (
            f"No statistical alarm comes before those {span(made.calibration_s)} are over: `driftwatch baseline` "
            "collects the runs in one sitting, without the daily rhythm."
        )
    ]


def _propose(present: Forecast, wish: Wish, proposed: Forecast) -> None:
    out = console()
    is_other = proposed.setting != present.setting
    if is_other and (met := _met_already(present, wish)):
        out.print(Text(met, style="bold"))
    out.print(Text(_headline(present, wish, proposed), style="bold"))
    if is_other:
        out.print(f"\n    interval: {duration(proposed.target.interval_s)}\n    repeats: {proposed.target.repeats}\n")
        rows = _table("", "now", "proposed")
        rows.add_row("a month", _price(present), _price(proposed))
        for name in present.delays:
            before, after = present.delays[name], proposed.delays[name]
            rows.add_row(_change(name), span(before.seconds), span(after.seconds))
        out.print(Padding(rows, (0, 0, 0, 2)))
    for sentence in _warnings(present, wish, proposed):
        _say(sentence)


def _warnings(present: Forecast, wish: Wish, proposed: Forecast) -> list[str]:
    """What the proposal takes away, costs once, or was kept from."""
    said = []
    slower = [
        f"a {_wanted(name)} is told after {span(after.seconds)} instead of {span(present.delays[name].seconds)}"
        for name, after in proposed.delays.items()
        if after.seconds > AS_FAST * present.delays[name].seconds
    ]
    if slower:
        said.append(f"Slower than now: {', '.join(slower)}.")
    if proposed.target.repeats != present.target.repeats:
        cost = "" if proposed.baseline.usd is None else f" and {dollars(proposed.baseline.usd)}"
        said.append(
            f"Other repeats start a new baseline: {proposed.baseline.requests:,.0f} requests{cost} once, "
            f"{span(proposed.calibration_s)} on schedule."
        )
        said += _wait_words(proposed)
    elif proposed.setting != present.setting and proposed.noise.n_calibration is None:
        said += _wait_words(proposed)
    if wish.unbound is not None:
        other = wish.unbound
        said.append(
            f"Your jitter of {duration(wish.jitter_s)} allows only longer intervals; without it, interval "
            f"{duration(other.target.interval_s)} and repeats {other.target.repeats} tell a {_wanted(wish.change)} "
            f"after {span(other.delays[wish.change].seconds)}, {_price(other)} a month."
        )
    return said


def _met_already(present: Forecast, wish: Wish) -> str:
    """Where the present setting meets the wish, that it does; empty where not."""
    found, cost = present.delays[wish.change].seconds, present.per_month.usd
    if wish.usd_per_month is not None:
        if cost is None or cost > wish.usd_per_month:
            return ""
        return f"The present setting costs {dollars(cost)} a month, within your {dollars(wish.usd_per_month)}."
    if wish.seconds is None or found > wish.seconds:
        return ""
    return (
        f"The present setting tells a {_wanted(wish.change)} within {span(wish.seconds)} already: after {span(found)}."
    )


def _headline(present: Forecast, wish: Wish, proposed: Forecast) -> str:
    change = f"a {_wanted(wish.change)}"
    found = span(proposed.delays[wish.change].seconds)
    near = f"within {AS_FAST - 1:.0%} of the fastest tried"
    is_met = wish.answer is not None and wish.answer.is_met
    if wish.usd_per_month is not None:
        amount = f"{dollars(wish.usd_per_month)} a month"
        if not is_met:
            return f"Nothing tried costs {amount} or less. The cheapest setting costs {_price(proposed)} a month:"
        if proposed.setting == present.setting:
            return f"Within {amount} keep the present setting: {near} for {change}, told after {found}."
        return f"For {change} within {amount}, the cheapest {near}: told after {found}, {_price(proposed)} a month."
    wished = span(wish.seconds or 0.0)
    if not is_met:
        return f"Nothing tried tells {change} within {wished}. The cheapest {near} does after {found}:"
    if proposed.setting == present.setting:
        return f"The present setting is the cheapest that tells {change} within {wished}: after {found}."
    return f"Cheapest that tells {change} within {wished}: after {found}, {_price(proposed)} a month."


def _wanted(change: str) -> str:
    return "full swap" if change == SWAP else f"{change} change"


def _price(made: Forecast) -> str:
    cost = made.per_month
    return f"{cost.requests:,.0f} requests" if cost.usd is None else dollars(cost.usd)


def _change(name: str) -> str:
    return "full swap" if name == SWAP else f"{name}, {CHANGES[name]:g} sd"


def _about(made: Forecast, name: str) -> str:
    if name == SWAP:
        return "another model behind the name"
    share = rerouted_share(made.target, CHANGES[name])
    return f"{share:.0%} of answers from another model" if share < 1 else "every answer from another model"


def _runs(found: Delay) -> str:
    return "-" if math.isinf(found.runs) else f"{found.runs:,.0f}"


def _table(*columns: str) -> Table:
    """The house's table, figures flush right."""
    made = table(*columns)
    for column in made.columns[1:]:
        column.justify = "left" if column.header == "about like" else "right"
    return made


def _say(sentence: str) -> None:
    console().print(Padding(plain(sentence), (0, 0, 0, 2)), style="dim")
