"""The answer of ``driftwatch compare`` as text: verdict, words, table, and what to do next."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from driftwatch.cli.context import console

if TYPE_CHECKING:
    from collections.abc import Callable

    from driftwatch.compare import Comparison, Difference

PATIENCE_S = 2.0
"""Seconds before progress is shown: most comparisons are over by then."""
_ROWS = 5
"""Measures shown at the least; all that differ are."""
_TITLES = {"length": "length, characters", "word length": "word length, characters"}
"""Rows whose name alone does not say what is counted; the words above the table count otherwise."""
_MEANINGS = {
    "phrases": "a move shared by many prompts",
    "openings": "first words, a shared move",
    "topics": "meaning, a shared move",
    "wording": "prompt by prompt, beyond its noise",
    "meaning": "prompt by prompt, beyond its noise",
    "exact text": "same or not, beyond its noise",
    "first token": "first word, beyond its noise",
    "prefix": "where replies part, beyond its noise",
    "size": "length, beyond its noise",
    "spread": "scatter of the right's own replies",
    "length": "right ÷ left",
    "paragraphs": "right ÷ left",
    "word length": "right ÷ left",
    "refusals": "of all replies",
    "JSON": "of all replies",
    "code fences": "of all replies",
    "lists": "of all replies",
    "headings": "of all replies",
    "tool calls": "of all replies",
    "cut off": "of all replies",
    "digits": "of all characters",
    "capitals": "of all characters",
    "punctuation": "of all characters",
    "white space": "of all characters",
    "other scripts": "of all letters",
    "failing checks": "of all checks",
}
"""What the measures' names do not say by themselves."""


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Say on a terminal's stderr what is being done, once it has taken ``PATIENCE_S``; to anything else say nothing."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415 - slow import

    out = console(stderr=True)
    if not out.is_terminal:
        yield lambda _: None
        return
    shown = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        console=out,
        transient=True,
    )
    task = shown.add_task("reading", total=None)
    timer = threading.Timer(PATIENCE_S, shown.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda stage: shown.update(task, description=stage)
    finally:
        timer.cancel()
        timer.join()  # a start that is under way ends before the stop
        if shown.live.is_started:
            shown.stop()


def show(answer: Comparison, left: str, right: str, *, left_out: tuple[int, int], accept: str | None) -> None:
    """Print the answer.

    Args:
        answer: the comparison.
        left: the earlier side, as the user named it.
        right: the later side.
        left_out: prompts that only one side has, on the left and on the right.
        accept: the target whose baseline the left is and the right's behaviour could become; None for two files.
    """
    from rich.text import Text  # noqa: PLC0415 - slow import

    from driftwatch.cli.style import plain, table  # noqa: PLC0415 - slow import

    out = console()
    verdict = Text("DIFFERENT", "bold red") if answer.is_different else Text("NO DIFFERENCE FOUND", "green")
    out.print(verdict + Text(f"  {_p(answer.p_value, answer)}, α = {answer.alpha:g}"))
    out.print(f"{plain(left)} → {plain(right)}", style="dim")
    out.print(_basis(answer, left_out), style="dim")
    for change in answer.changes:
        out.print(f"  • {plain(change)}")
    if answer.is_different and not answer.changes:
        out.print("  • nothing that a reader would notice at once; the measures below carry it")
    shown = [] if answer.is_same else [one for i, one in enumerate(answer.differences) if one.is_different or i < _ROWS]
    if shown:
        out.print()
        rows = table("measure", "effect", "95 % interval", "p adjusted", "verdict", "what it is")
        for one in shown:
            rows.add_row(
                Text(_TITLES.get(one.measure, one.measure)),
                _effect(one),
                _interval(one),
                _p(one.p_adjusted, answer).removeprefix("p = "),
                Text("different", "red") if one.is_different else Text("-", "dim"),
                Text(_MEANINGS.get(one.measure, ""), "dim"),
            )
        out.print(rows)
        if rest := len(answer.differences) - len(shown):
            out.print(f"{rest} more measures show no difference: --format json lists them.", style="dim")
    out.print()
    out.print(plain(_next(answer, accept)))


def _basis(answer: Comparison, left_out: tuple[int, int]) -> str:
    from driftwatch.compare import CALM  # noqa: PLC0415 - slow import

    failed = sum(answer.n_failed)
    exchanges = f"{answer.n_permutations:,} exchanges"
    if answer.is_cut_short:
        exchanges = f"stopped after {answer.n_permutations:,} of {answer.n_asked:,} exchanges as p was above {CALM:g}"
    parts = [
        f"{answer.n_canaries:,} prompts, {answer.n_left:,} + {answer.n_right:,} replies",
        f"{'all' if answer.is_exact else 'seed ' + str(answer.seed) + ','} {exchanges}",
    ]
    if any(left_out):
        parts.append(f"{left_out[0]:,} + {left_out[1]:,} prompts of one side only left out")
    if failed:
        parts.append(f"{failed:,} failed requests left out")
    if answer.unmeasured:
        parts.append(f"{len(answer.unmeasured):,} prompts without a reply on one side left out")
    return " · ".join(parts)


def _next(answer: Comparison, accept: str | None) -> str:
    if answer.is_same:
        return "The two sides hold the same replies."
    if answer.is_different:
        far = ", ".join(f"'{' '.join(prompt.split())}'" for prompt in answer.farthest)
        read = f"read the replies to {far} side by side, they moved most" if far else "read a few prompts side by side"
        if accept:
            how = f"`driftwatch rebaseline {accept} --reason …`"
            return f"Next: {read}; if the new behaviour is wanted, accept it as the new baseline: {how}."
        return f"Next: {read}; more repeats per prompt would tell which others changed, and narrow the intervals."
    if answer.n_left == answer.n_right == answer.n_canaries:
        return "No difference is not sameness: three replies per prompt and side would show smaller changes."
    return "No difference is not sameness: more prompts or replies would show smaller changes."


def _p(value: float, answer: Comparison) -> str:
    least = 1 / (1 + answer.n_permutations)
    return f"p = {value:.4f}" if value >= 0.0001 or answer.is_exact else f"p = {max(value, least):.1g}"  # noqa: PLR2004 - four decimals


_UNITS = {"ratio": " %", "points": " points", "common": " % shared", "distance": ""}


def _effect(one: Difference) -> str:
    return "-" if math.isnan(one.effect) else _figure(one, one.effect) + _UNITS[one.unit]


def _interval(one: Difference) -> str:
    return "-" if math.isnan(one.low) else f"{_figure(one, one.low)} … {_figure(one, one.high)}{_UNITS[one.unit]}"


def _figure(one: Difference, value: float) -> str:
    if one.unit == "ratio":
        return _signed(100 * (value - 1), 1)
    if one.unit == "points":
        return _signed(100 * value, 1)
    return f"{100 * value:.0f}" if one.unit == "common" else _signed(value, 3)


def _signed(value: float, places: int) -> str:
    """With its sign, except where it rounds to nothing.

    >>> _signed(-0.04, 1), _signed(1.25, 1)
    ('0.0', '+1.2')
    """
    text = f"{value:+.{places}f}"
    return text if float(text) else text[1:]
