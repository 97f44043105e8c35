"""The canaries of a report: which ones moved, and what they answered before and since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from driftwatch.alert.text import quote
from driftwatch.briefing import shown
from driftwatch.domain import Baseline, CanaryEvidence, Completion, Kind, Purpose, SeriesRow, Target, Verdict
from driftwatch.report.diff import Piece, compare
from driftwatch.report.figures import Window
from driftwatch.score import far_replies, medoid
from driftwatch.store import Store

MAX_ROWS = 30
"""Canaries listed; beyond, the strongest are enough."""

MAX_PAIRS = 10
"""Before/after pairs shown, of the canaries that moved most; more are not read."""

MAX_CHARACTERS = 4_000
"""Longest reply or prompt shown, UTF-16 units."""

HEAD_CHARACTERS, HEAD_LINES = 600, 12
"""How much of a long text stands open; the rest is folded."""

UNSEEN_IN_TEXT = frozenset({"latency"})
"""Channels whose canaries have no pair: two replies side by side show nothing of how long they took."""

RUNS_COMPARED = 40
"""Runs since the onset whose completions are read for the pairs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One canary; its channels in the table's order, None where the channel does not list it."""

    canary_id: str
    cells: tuple[CanaryEvidence | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The affected canaries, strongest first."""

    channels: tuple[str, ...]
    rows: tuple[Row, ...]
    n_left_out: int

    @property
    def told_by_replies(self) -> tuple[str, ...]:
        """The canaries whose replies show the change, strongest first."""
        seen = [name not in UNSEEN_IN_TEXT for name in self.channels]
        return tuple(
            row.canary_id
            for row in self.rows
            if any(is_seen and cell is not None for is_seen, cell in zip(seen, row.cells, strict=True))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """A text in pieces, cut where the open part of a long one ends."""

    head: tuple[Piece, ...]
    rest: tuple[Piece, ...]
    """Empty for a text that is short enough to stand open."""

    @property
    def n_characters(self) -> int:
        """Of the folded part."""
        return sum(len(piece.text) for piece in self.rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A canary's typical reply before and since. Foreign text: in pieces with hidden characters made visible."""

    canary_id: str
    reason: str
    prompt: str
    before: tuple[Piece, ...]
    after: tuple[Piece, ...]
    is_private: bool
    """Whether the canary's suite keeps its texts in the team."""
    replies: tuple[Completion, Completion]
    """As stored."""

    @property
    def folded(self) -> tuple[Folded, Folded]:
        """Both replies, long ones folded."""
        return fold(self.before), fold(self.after)


def fold(pieces: Sequence[Piece]) -> Folded:
    """Cut pieces after the open part: at ``HEAD_CHARACTERS`` or ``HEAD_LINES``, unless little would be left."""
    text = "".join(piece.text for piece in pieces)
    lines = text.split("\n")
    by_lines = len("\n".join(lines[:HEAD_LINES])) if len(lines) > HEAD_LINES else len(text)
    cut = min(HEAD_CHARACTERS, by_lines)
    if len(text) <= cut * 1.25:
        return Folded(head=tuple(pieces), rest=())
    head, rest, used = [], [], 0
    for piece in pieces:
        here, beyond = piece.text[: max(0, cut - used)], piece.text[max(0, cut - used) :]
        head += [replace(piece, text=here)] if here else []
        rest += [replace(piece, text=beyond)] if beyond else []
        used += len(piece.text)
    return Folded(head=tuple(head), rest=tuple(rest))


def table(verdict: Verdict, kind: Kind) -> Table | None:
    """The canaries affected in the channels of ``kind``; None when no channel lists any."""
    listed: dict[str, dict[str, CanaryEvidence]] = {}
    channels = sorted((c for c in verdict.channels if c.kind is kind), key=lambda c: -c.share)
    for channel in channels:
        for evidence in channel.canaries:
            if evidence.is_affected:
                listed.setdefault(evidence.canary_id, {})[channel.channel] = evidence
    if not listed:
        return None
    names = tuple(c.channel for c in channels if any(c.channel in cells for cells in listed.values()))
    ranked = sorted(listed, key=lambda canary_id: _strength(listed[canary_id]), reverse=True)
    rows = [Row(canary_id=i, cells=tuple(listed[i].get(name) for name in names)) for i in ranked]
    return Table(channels=names, rows=tuple(rows[:MAX_ROWS]), n_left_out=max(0, len(rows) - MAX_ROWS))


def pairs(
    store: Store,
    target: Target,
    baseline: Baseline,
    rows: Sequence[SeriesRow],
    *,
    canary_ids: Sequence[str],
    window: Window,
    far_only: bool = False,
) -> tuple[Pair, ...]:
    """Typical replies before and since, of at most ``MAX_PAIRS`` canaries whose typical reply has become another.

    Args:
        store: read only.
        target: whose canaries; one that has left its suites since is shown without its prompt.
        baseline: whose anchors are the replies before.
        rows: the baseline's series.
        canary_ids: which canaries, in this order.
        window: the change.
        far_only: show the typical one of those replies since that are unlike every accepted one, where there are any:
            when only some of the traffic changed, the typical one of all is as before.
    """
    run_ids = [r.run_id for r in rows if r.purpose is Purpose.WATCH and window.holds(r.scheduled_at)][:RUNS_COMPARED]
    stored = store.completions(run_ids)
    since = group([c for run_id in sorted(stored) for c in stored[run_id] if c.is_ok])
    anchors = store.anchors(baseline.id)
    if far_only:
        accepted = [completion for those in anchors.values() for completion in those]
        far = far_replies(accepted, [completion for those in since.values() for completion in those])
        since = group(far) or since
        canary_ids = sorted(since, key=lambda canary_id: (canary_id not in canary_ids, -len(since[canary_id])))
    canaries = {canary.id: canary for canary in target.canaries}
    found: list[Pair] = []
    for canary_id in canary_ids:
        if len(found) == MAX_PAIRS:
            break
        if not (anchors.get(canary_id) and since.get(canary_id)):
            continue
        replies = medoid(anchors[canary_id]), medoid(since[canary_id])
        was, has_become = map(shown, replies)
        if was == has_become:
            continue
        before, after = compare(quote(was, MAX_CHARACTERS), quote(has_become, MAX_CHARACTERS))
        canary = canaries.get(canary_id)
        found.append(
            Pair(
                canary_id=canary_id,
                reason=canary.reason if canary else "no longer in the target's suites",
                prompt=quote(canary.messages[-1].content, MAX_CHARACTERS) if canary else "",
                before=before,
                after=after,
                # What has left the suites can no longer say that it is not.
                is_private=canary.is_private if canary else True,
                replies=replies,
            )
        )
    return tuple(found)


def _strength(cells: Mapping[str, CanaryEvidence]) -> tuple[float, float]:
    """The strongest evidence; of equals, the largest move over all channels."""
    return (
        max(cell.evidence for cell in cells.values()),
        sum(abs(cell.since_onset_mean - cell.calibration_mean) for cell in cells.values()),
    )


def group(completions: Sequence[Completion]) -> dict[str, list[Completion]]:
    """Completions by canary, in their order."""
    by_canary: dict[str, list[Completion]] = {}
    for completion in completions:
        by_canary.setdefault(completion.canary_id, []).append(completion)
    return by_canary
