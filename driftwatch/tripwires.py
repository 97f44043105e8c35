"""Tripwires: free metadata that should not change under an unchanged model name, compared to what a baseline tells."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from driftwatch import lifecycle
from driftwatch.domain import LASTING, Level, Outcome, Told, Tripwire, Wire

ROTATES = 3
"""From so many known values on, the endpoint rotates: another one is a notice at most."""

UNTELLING = 10
"""With more known values than this, every reply brings its own: another one says nothing at all."""

ENOUGH = 4
"""Replies of a canary that must agree on its input tokens before another number is news."""

NAMED = 3
"""Values that a sentence names; a number stands for the rest."""

_ROTATING = frozenset({Wire.SERVED_MODEL, Wire.FINGERPRINT, Wire.UPSTREAM})
"""Wires of which an endpoint may rightly tell several values."""

ANNOUNCED = frozenset({Wire.DEPRECATION, Wire.RETIREMENT})
"""Wires that tell of an end to come, which no baseline makes normal: they trip from the first run on."""

_FIRST_IS_NEWS = ANNOUNCED | {Wire.ERRORS}
"""Wires of which a first value is news to a baseline that told none."""

_REASONS = {outcome.value.replace("_", " "): reason for outcome, reason in LASTING.items()}
"""A LASTING outcome as a tripwire keeps it → in words."""

_Values = Mapping[str, frozenset[str]]
"""Value → ids of the canaries whose replies tell it."""


def trip(
    baseline: Sequence[Told],
    run: Sequence[Told],
    *,
    levels: Mapping[Wire, Level],
    standing: Sequence[Tripwire] = (),
    seen: Sequence[Tripwire] = (),
    at: datetime,
    pinned: str | None = None,
    ending: str | None = None,
) -> tuple[Tripwire, ...]:
    """Compare what a run tells to what its baseline tells.

    A value trips its wire when neither the baseline nor an earlier run has told it. It stands for as long as every run
    that tells anything of the wire tells it. Once a run has told only known values it is over, and the value is
    known from then on: an endpoint that goes back and forth trips once.

    * Model name, fingerprint and upstream: the baseline must have told one. Among ROTATES known ones or more a new one
      is a notice at most, among more than UNTELLING nothing.
    * A pinned upstream: any other, whatever is known and each time anew, once replies have told the pinned one.
    * Input tokens: of a canary for which the baseline has told ENOUGH times one and the same number.
    * Errors: LASTING outcomes.
    * Deprecation: also when the baseline told none. Once more than UNTELLING values are known, only the names of the
      headers count: a date of today would be news every day.
    * Retirement: what the list of models says, which no reply and no baseline tells.

    Args:
        baseline: told by the baseline's anchors and calibration runs, without this run.
        run: told by this run.
        levels: what each wire causes; OFF or absent: nothing, and it is not looked at.
        standing: the tripwires of the verdict before this one, against the same baseline.
        seen: the tripwires of all earlier verdicts against the same baseline.
        at: scheduled_at of the run.
        pinned: the one upstream that a router is told to ask, None without one.
        ending: what ``lifecycle.ending`` says.

    Returns:
        At most one for each wire, in the order of ``Wire``.

    >>> told = [Told(canary_id="a", outcome=Outcome.OK, served_model="m-1", n=8)]
    >>> now = [Told(canary_id="a", outcome=Outcome.OK, served_model="m-2")]
    >>> [tripped] = trip(told, now, levels={Wire.SERVED_MODEL: Level.PAGE}, at=datetime(2026, 3, 16))
    >>> tripped.before, tripped.after
    (('m-1',), ('m-2',))
    """
    found = []
    for wire in Wire:
        level = levels.get(wire, Level.OFF)
        if level is Level.OFF:
            continue
        known, now = _values(wire, baseline), _values(wire, run)
        began = {value: past.since for past in standing if past.wire is wire for value in past.after}
        former = {value for past in seen if past.wire is wire for value in past.after}
        if wire is Wire.RETIREMENT and ending is not None:
            now = {ending: frozenset()}
        if wire is Wire.DEPRECATION and len({*known, *former, *now}) > UNTELLING:
            known, now = _unchanging(known), _unchanging(now)
        is_rotating = wire in _ROTATING
        if wire is Wire.UPSTREAM and pinned is not None and any(_is_pinned(value, pinned) for value in {*known, *now}):
            known = {value: canaries for value, canaries in known.items() if _is_pinned(value, pinned)}
            # Not chance even if it happened before; and a name that no reply has told cannot be compared.
            fresh, former, is_rotating = {value for value in now if not _is_pinned(value, pinned)}, set(), False
        elif is_rotating and len(known) > UNTELLING:
            continue
        else:
            fresh = _news(wire, baseline, known, now)
        carried = {value: began[value] for value in began if value not in now and _is_silent(wire, value, run)}
        stands = carried | {
            value: began.get(value, at) for value in now if value in began or (value in fresh and value not in former)
        }
        if not stands:
            continue
        canaries = {canary for value in stands for canary in now.get(value, ())}
        before = [past.before for past in standing if past.wire is wire and set(past.after) & set(stands)]
        found.append(
            Tripwire(
                wire=wire,
                level=Level.NOTICE if is_rotating and len(known) >= ROTATES else level,
                before=before[0] if before else _before(wire, known, stands),
                after=tuple(sorted(stands)),
                canaries=tuple(sorted(canaries)) or _canaries_of(standing, wire),
                since=min(stands.values()),
            )
        )
    return tuple(found)


def without(baseline: Sequence[Told], run: Sequence[Told]) -> list[Told]:
    """What a baseline tells without a run that belongs to it."""
    left = Counter({replace(told, n=1): told.n for told in baseline})
    left.subtract({replace(told, n=1): told.n for told in run})
    return [replace(told, n=n) for told, n in left.items() if n > 0]


def words(tripped: Tripwire) -> str:
    """What happened, as the part of a sentence that follows "the endpoint".

    >>> words(Tripwire(wire=Wire.SERVED_MODEL, level=Level.PAGE, before=("m-1",), after=("m-2",), canaries=("a",),
    ...                since=datetime(2026, 3, 16)))
    'names another model: m-1 → m-2'
    """
    after = _some(tripped.after)
    if tripped.wire is Wire.RETIREMENT:
        return after
    if tripped.wire is Wire.ERRORS:
        reasons = ", ".join(_REASONS.get(value, value) for value in tripped.after)
        return f"fails in a way that asking again does not change: {reasons}"
    said = {
        Wire.SERVED_MODEL: "names another model",
        Wire.FINGERPRINT: "reports another system fingerprint",
        Wire.UPSTREAM: "is served by another provider",
        Wire.INPUT_TOKENS: "counts the same requests as another number of tokens",
        Wire.DEPRECATION: "announces an end",
    }[tripped.wire]
    if tripped.wire is Wire.DEPRECATION and not tripped.before:
        return f"{said}: {after}"
    return f"{said}: {_some(tripped.before)} → {after}"


def _values(wire: Wire, told: Sequence[Told]) -> _Values:
    """What is told of one wire, each value with the canaries that tell it."""
    values: dict[str, set[str]] = defaultdict(set)
    for reply in told:
        value = _value(wire, reply)
        if value is not None:
            values[value].add(reply.canary_id)
    return {value: frozenset(canaries) for value, canaries in values.items()}


def _value(wire: Wire, reply: Told) -> str | None:
    if wire is Wire.ERRORS:
        return reply.outcome.value.replace("_", " ") if reply.outcome in LASTING else None
    if reply.outcome is not Outcome.OK:
        return None
    if wire is Wire.INPUT_TOKENS:
        return None if reply.input_tokens is None else f"{reply.canary_id} {reply.input_tokens}"
    told = {
        Wire.SERVED_MODEL: reply.served_model,
        Wire.FINGERPRINT: reply.fingerprint,
        Wire.UPSTREAM: reply.upstream,
        Wire.DEPRECATION: reply.deprecation,
    }
    return told.get(wire) or None


def _news(wire: Wire, baseline: Sequence[Told], known: _Values, now: _Values) -> set[str]:
    """The values of a run that its baseline does not tell and ought to have told."""
    fresh = set(now) - set(known)
    if wire in _FIRST_IS_NEWS:
        return fresh
    if wire is not Wire.INPUT_TOKENS:
        return fresh if known else set()
    counted: dict[str, Counter[int]] = defaultdict(Counter)
    for reply in baseline:
        if reply.outcome is Outcome.OK and reply.input_tokens is not None:
            counted[reply.canary_id][reply.input_tokens] += reply.n
    settled = {canary for canary, numbers in counted.items() if len(numbers) == 1 and numbers.total() >= ENOUGH}
    return {value for value in fresh if now[value] <= settled}


def _is_silent(wire: Wire, value: str, run: Sequence[Told]) -> bool:
    """Whether a run cannot say if a standing value is over."""
    if wire is Wire.RETIREMENT:
        return False
    if wire is Wire.ERRORS:
        return not any(reply.outcome is Outcome.OK or reply.outcome in LASTING for reply in run)
    if wire is Wire.DEPRECATION:
        # A good reply without such a header says that nothing is announced any more.
        return not any(reply.outcome is Outcome.OK for reply in run)
    told = [reply for reply in run if _value(wire, reply) is not None]
    if wire is Wire.INPUT_TOKENS:
        return not any(value.startswith(f"{reply.canary_id} ") for reply in told)
    return not told


def _is_pinned(told: str, pinned: str) -> bool:
    """Whether a router means the pinned upstream: it is asked for as ``google-vertex/eu``, and tells "Google Vertex".

    Source: OpenRouter, "Provider Routing", https://openrouter.ai/docs/features/provider-routing, 2026-11.
    """
    bare = ["".join(filter(str.isalnum, name.partition("/")[0].lower())) for name in (told, pinned)]
    return bare[0] == bare[1]


def _unchanging(values: _Values) -> _Values:
    """The values of an endpoint that announces another end every time, without what differs."""
    merged: dict[str, set[str]] = defaultdict(set)
    for value, canaries in values.items():
        merged[lifecycle.unchanging(value)] |= canaries
    return {value: frozenset(canaries) for value, canaries in merged.items()}


def _before(wire: Wire, known: _Values, stands: Mapping[str, datetime]) -> tuple[str, ...]:
    if wire is Wire.INPUT_TOKENS:
        canaries = {value.rpartition(" ")[0] for value in stands}
        return tuple(sorted(value for value in known if value.rpartition(" ")[0] in canaries))
    return tuple(sorted(set(known) - set(stands)))


def _canaries_of(standing: Sequence[Tripwire], wire: Wire) -> tuple[str, ...]:
    return next((past.canaries for past in standing if past.wire is wire), ())


def _some(values: Sequence[str]) -> str:
    rest = f" and {len(values) - NAMED} more" if len(values) > NAMED else ""
    return ", ".join(values[:NAMED]) + rest if values else "none"
