"""Tripwires: free metadata that should not change under an unchanged model name, compared to what a baseline tells."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from driftwatch.domain import Level, Outcome, Told, Tripwire, Wire

ROTATES = 3
"""From so many known values on, the endpoint rotates: another one is a notice at most."""

UNTELLING = 10
"""With more known values than this, every reply brings its own: another one says nothing at all."""

ENOUGH = 4
"""Replies of a canary that must agree on its input tokens before another number is news."""

LASTING = frozenset({Outcome.MODEL_GONE, Outcome.AUTH, Outcome.REJECTED})
"""Failures that asking again does not change. The others pass, and are availability's business."""

NAMED = 3
"""Values that a sentence names; a number stands for the rest."""

_ROTATING = frozenset({Wire.SERVED_MODEL, Wire.FINGERPRINT})
"""Wires of which an endpoint may rightly tell several values."""

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
) -> tuple[Tripwire, ...]:
    """Compare what a run tells to what its baseline tells.

    A value trips its wire when neither the baseline nor an earlier run has told it. It stands for as long as every run
    that tells anything of the wire tells it. Once a run has told only known values it is over, and the value is
    known from then on: an endpoint that goes back and forth trips once.

    * Model name and fingerprint: the baseline must have told one. Among ROTATES known ones or more a new one is a
      notice at most, among more than UNTELLING nothing.
    * Input tokens: of a canary for which the baseline has told ENOUGH times one and the same number.
    * Errors: LASTING outcomes.

    Args:
        baseline: told by the baseline's anchors and calibration runs, without this run.
        run: told by this run.
        levels: what each wire causes; OFF or absent: nothing, and it is not looked at.
        standing: the tripwires of the verdict before this one, against the same baseline.
        seen: the tripwires of all earlier verdicts against the same baseline.
        at: scheduled_at of the run.

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
        if wire in _ROTATING and len(known) > UNTELLING:
            continue
        began = {value: past.since for past in standing if past.wire is wire for value in past.after}
        former = {value for past in seen if past.wire is wire for value in past.after}
        carried = {value: began[value] for value in began if value not in now and _is_silent(wire, value, run)}
        news = _news(wire, baseline, known, now)
        stands = carried | {
            value: began.get(value, at) for value in now if value in began or (value in news and value not in former)
        }
        if not stands:
            continue
        canaries = {canary for value in stands for canary in now.get(value, ())}
        before = [past.before for past in standing if past.wire is wire and set(past.after) & set(stands)]
        found.append(
            Tripwire(
                wire=wire,
                level=Level.NOTICE if wire in _ROTATING and len(known) >= ROTATES else level,
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
    said = {
        Wire.SERVED_MODEL: "names another model",
        Wire.FINGERPRINT: "reports another system fingerprint",
        Wire.INPUT_TOKENS: "counts the same requests as another number of tokens",
        Wire.ERRORS: "refuses requests for a reason that asking again does not change",
    }[tripped.wire]
    return f"{said}: {_some(tripped.before)} → {_some(tripped.after)}"


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
    return (reply.served_model if wire is Wire.SERVED_MODEL else reply.fingerprint) or None


def _news(wire: Wire, baseline: Sequence[Told], known: _Values, now: _Values) -> set[str]:
    """The values of a run that its baseline does not tell and ought to have told."""
    fresh = set(now) - set(known)
    if wire is Wire.ERRORS:
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
    if wire is Wire.ERRORS:
        return not any(reply.outcome is Outcome.OK or reply.outcome in LASTING for reply in run)
    told = [reply for reply in run if _value(wire, reply) is not None]
    if wire is Wire.INPUT_TOKENS:
        return not any(value.startswith(f"{reply.canary_id} ") for reply in told)
    return not told


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
