"""What the endpoint's own replies say of the cause: names and numbers that changed, and errors it answered."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from driftwatch import tripwires
from driftwatch.alert.evidence import Reason, Whose
from driftwatch.alert.text import when
from driftwatch.attribution.facts import OwnCause, Scope
from driftwatch.attribution.relations import is_remote
from driftwatch.attribution.witnesses import UNANSWERED
from driftwatch.domain import LASTING, Kind, Outcome, Target, Tripwire, Wire
from driftwatch.tripwires import ANNOUNCED, ROTATES

_OWN_ACCOUNT = {Outcome.AUTH: LASTING[Outcome.AUTH], Outcome.QUOTA: LASTING[Outcome.QUOTA]}
"""Failures that only somebody with the account can end."""

_ANSWERED = {
    Outcome.UNAVAILABLE: "it answers that it is unavailable (5xx)",
    Outcome.ERROR_BODY: "it answers errors with status 200",
    **{outcome: words for outcome, words in LASTING.items() if outcome not in _OWN_ACCOUNT},
}
"""Failures that the endpoint answers itself, to requests that it accepted before."""


def of_tripwires(tripped: Collection[Tripwire], target: Target, kind: Kind) -> tuple[list[Reason], list[OwnCause]]:
    """What tripwires say that tripped around the onset.

    Another model name or fingerprint is the provider's own word; from a gateway on this side, whose fallback may
    answer under the model's name, it is the endpoint's. A router's choice is the endpoint's. More input tokens say
    nothing: whatever stands between can add to a request.

    Args:
        tripped: around the onset.
        target: whose.
        kind: of the incident; an announced end is the cause of its own incident alone.
    """
    reasons, causes = [], []
    theirs = Whose.PROVIDER if is_remote(target) else Whose.ENDPOINT
    for one in tripped:
        said = f"the endpoint {tripwires.words(one)}, since {when(one.since)}"
        if one.wire is Wire.ERRORS:
            refused = {outcome for outcome in LASTING if outcome.value.replace("_", " ") in one.after}
            if refused and refused <= _OWN_ACCOUNT.keys():
                causes.append(OwnCause(text=said, scope=Scope.ACCOUNT))
                continue
        points_to = theirs
        if one.wire is Wire.UPSTREAM:
            points_to = Whose.ENDPOINT
        elif (
            one.wire is Wire.INPUT_TOKENS
            or (one.wire in ANNOUNCED and kind is not Kind.TRIPWIRE)
            or (one.wire is Wire.FINGERPRINT and len(one.before) >= ROTATES)
        ):
            points_to = Whose.UNKNOWN
        reasons.append(Reason(text=said, points_to=points_to))
    return reasons, causes


def of_failures(outcomes: Mapping[Outcome, int], target: Target) -> tuple[list[Reason], list[OwnCause]]:
    """What the failures of a target say that cannot be measured.

    Too many requests (429) say nothing: whether more are made with the key or fewer are allowed is not to be seen.

    Args:
        outcomes: how its failed requests ended → how many.
        target: whose.
    """
    total = sum(outcomes.values())
    most = max(outcomes, key=lambda outcome: outcomes[outcome], default=None)
    if most is None or 2 * outcomes[most] <= total:
        unanswered = sum(outcomes.get(outcome, 0) for outcome in UNANSWERED)
        said = f"{unanswered} of {total} failed requests got no answer" if unanswered else "requests fail in many ways"
        return ([Reason(text=said, points_to=Whose.UNKNOWN)] if total else []), []
    share = f"{outcomes[most]} of {total} failed requests"
    if most in _OWN_ACCOUNT:
        return [], [
            OwnCause(
                text=f"{_OWN_ACCOUNT[most]} ({share}): only somebody with the account can help", scope=Scope.ACCOUNT
            )
        ]
    if most in _ANSWERED:
        points_to = Whose.PROVIDER if is_remote(target) else Whose.ENDPOINT
        return [Reason(text=f"{_ANSWERED[most]} ({share})", points_to=points_to)], []
    words = most.value.replace("_", " ")
    return [Reason(text=f"{share} ended in {words}, which does not say where", points_to=Whose.UNKNOWN)], []


def own_words(reasons: Sequence[Reason]) -> tuple[tuple[Reason, ...], tuple[Reason, ...]]:
    """Those that point somewhere, and those that do not."""
    telling = tuple(reason for reason in reasons if reason.points_to is not Whose.UNKNOWN)
    return telling, tuple(reason for reason in reasons if reason.points_to is Whose.UNKNOWN)
