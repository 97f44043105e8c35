"""Whose a change is: a small decision table over what is known, without a score that nobody could check."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from driftwatch.alert.evidence import Attribution, Reason, Whose
from driftwatch.alert.text import listing
from driftwatch.attribution.facts import Facts, Movement, OwnCause, Role, Scope, Witness
from driftwatch.domain import Kind

MANY = 2
"""Other hosts that must move in the same hours before that is no coincidence. One may be: a false alarm, or an outage
of its own."""

OUTVOTED = 3
"""So many times as many other hosts must have moved as stayed, or a cause that moves everything is none."""

NAMED = 3
"""Targets that a sentence names; a number stands for the rest."""

_OVER_OUR_PATHS = frozenset({Kind.PERFORMANCE, Kind.AVAILABILITY})
"""Kinds that the network causes by itself: what stands on this machine is no measure of it."""

_UNRELATED = frozenset({Role.OTHER, Role.FROZEN})
"""Roles that have nothing but our side in common with the target."""

_SAME_SIDE = frozenset({Role.SAME_MODEL, Role.FROZEN, Role.HOST, Role.OTHER})
"""Roles that everything on our side would move. The feature is left out: it may hide what it passes on."""


def judge(facts: Facts) -> Attribution:
    """Say whose a change is, as far as the facts go.

    "this endpoint" is the narrowest claim about the other side: what is served here changed, and our side did not.
    "provider" says more: the same model changed elsewhere too, or the endpoint itself says so.

    1. *A cause on our side* is a frozen control that moved, a target that is frozen itself, many other hosts that
       moved in the same hours, a change on our side around the onset, a fault of our side, or a feature that moved
       while what it asks did not. One that moves everything is contradicted by a target that certainly did not
       move; one that moves this target alone by the same model elsewhere or another model of the host that moved
       too; either by the endpoint's own word.
    2. A cause on our side that nothing contradicts: **our side**; **cannot tell** where it was not close to the onset
       but only where the onset may be, or where such a thing happens so often that it may be a coincidence.
       Contradicted ones alone: **cannot tell**, unless they were only where the onset may be and can have moved
       neither everything nor this target alone.
    3. No cause on our side. The same model moved at one other host and not at another: **cannot tell**.
       In 4 and 7, where our side was not recorded before the onset and no neighbour moved too: **cannot tell**.
    4. The same model elsewhere certainly did not move: **this endpoint**.
    5. The same model elsewhere moved, and something else that is asked over the network certainly did not, which rules
       our side out: **provider**.
    6. The endpoint's own word: **provider**, or **this endpoint** where it tells of a router's choice.
    7. Something else that is asked over the network certainly did not move, at more hosts than something unrelated
       moved: **this endpoint**.
    8. Otherwise **cannot tell**, with what would be needed to tell.

    Args:
        facts: what is known; nothing is looked up here.
    """
    causes = _causes(facts)
    against = {cause.text: _against(facts, cause) for cause in causes}
    standing = [cause for cause in causes if not against[cause.text]]
    near = [cause.text for cause in standing if cause.is_near and not cause.is_usual]
    if near:
        return _concluded(facts, causes, Whose.OURS, because=near)
    if standing:
        both = (standing[0].text, _DOUBTS[standing[0].is_usual])
        return _concluded(facts, causes, Whose.UNKNOWN, because=both, tell=_advice(facts))
    doubtful = next((cause.text for cause in causes if cause.is_near or _may_be_alone(facts, cause)), None)
    if doubtful is not None:
        both = (doubtful, against[doubtful][0])
        return _concluded(facts, causes, Whose.UNKNOWN, because=both, tell=_advice(facts))
    return _on_the_other_side(facts)


def _on_the_other_side(facts: Facts) -> Attribution:
    """Rules 3 to 8: nothing on our side explains the change."""
    quiet = [w for w in _of(facts, _SAME_SIDE, Movement.STILL) if w.is_remote]
    moved, still = _of(facts, {Role.SAME_MODEL}, Movement.MOVED), [w for w in quiet if w.role is Role.SAME_MODEL]
    if moved and still:
        rollout = "A rollout from host to host looks like this: `driftwatch report` asks again."
        return _concluded(facts, (), Whose.UNKNOWN, because=(moved[0].sentence, still[0].sentence), tell=rollout)
    # A cause of ours that moves this target alone leaves everything else still, too.
    is_ours_ruled_out = facts.is_recorded or bool(_of(facts, {Role.SAME_MODEL, Role.HOST}, Movement.MOVED))
    if still and is_ours_ruled_out:
        return _concluded(facts, (), Whose.ENDPOINT, because=(still[0].sentence,))
    unrelated = {w.host for w in _of(facts, _UNRELATED, Movement.MOVED)}
    if moved and quiet:
        return _concluded(facts, (), Whose.PROVIDER, because=(moved[0].sentence, quiet[0].sentence))
    word = next((word for word in facts.words if word.points_to is not Whose.UNKNOWN), None)
    if word is not None:
        return _concluded(facts, (), word.points_to, because=(word.text,))
    if is_ours_ruled_out and len({w.host for w in quiet}) > len(unrelated) and not moved:
        mates = _of(facts, {Role.HOST}, Movement.MOVED)
        because = tuple(w.sentence for w in (*mates[:1], quiet[0]))
        return _concluded(facts, (), Whose.ENDPOINT, because=because, tell=_beyond(facts))
    is_record_missing = quiet and not moved and not is_ours_ruled_out
    because = (quiet[0].sentence, _UNRECORDED) if is_record_missing else _what_there_is(facts)
    return _concluded(facts, (), Whose.UNKNOWN, because=because, tell=_advice(facts))


# ---------------------------------------------------------------- causes on our side


def _causes(facts: Facts) -> list[OwnCause]:
    """What on our side explains the change, and how far it would reach; the most telling first."""
    frozen = _of(facts, {Role.FROZEN}, Movement.MOVED)
    causes = [OwnCause(text=w.sentence, scope=Scope.ALL) for w in frozen]
    if _have_many_moved(facts):
        causes.append(OwnCause(text=_many(facts), scope=Scope.NETWORK))
    if facts.is_frozen:
        nobody = f"{facts.target} is declared frozen: nobody changes what it serves, so that only our side moves it"
        causes.append(OwnCause(text=nobody, scope=Scope.ONE))
    causes += [OwnCause(text=w.sentence, scope=Scope.ONE) for w in _of(facts, {Role.DIRECT}, Movement.STILL)]
    return [*causes, *facts.own_causes]


def _against(facts: Facts, cause: OwnCause) -> list[str]:
    """What speaks against a cause on our side, as sentences."""
    said = [word.text for word in facts.words if word.points_to in {Whose.PROVIDER, Whose.ENDPOINT}]
    if cause.scope is Scope.ACCOUNT:
        return said
    if cause.scope is Scope.ONE:
        return [*(w.sentence for w in _of(facts, {Role.SAME_MODEL, Role.HOST}, Movement.MOVED)), *said]
    counted = _SAME_SIDE - {Role.OTHER} if _have_many_moved(facts) else _SAME_SIDE
    is_local_told = cause.scope is Scope.ALL and facts.kind not in _OVER_OUR_PATHS
    quiet = [w for w in _of(facts, counted, Movement.STILL) if w.is_remote or is_local_told]
    return [*(w.sentence for w in quiet), *said]


def _may_be_alone(facts: Facts, cause: OwnCause) -> bool:
    """Whether what should move everything, and did not, may have moved this target alone, as one dialect's change."""
    return cause.scope in {Scope.ALL, Scope.NETWORK} and not _against(facts, replace(cause, scope=Scope.ONE))


def _have_many_moved(facts: Facts) -> bool:
    moved, still = ({w.host for w in _of(facts, {Role.OTHER}, how)} for how in (Movement.MOVED, Movement.STILL))
    return len(moved) >= MANY and len(moved) >= OUTVOTED * len(still - moved)


def _many(facts: Facts) -> str:
    others = _of(facts, {Role.OTHER}, Movement.MOVED)
    names = [w.name for w in others[:NAMED]] + ([f"{len(others) - NAMED} more"] if len(others) > NAMED else [])
    hosts = len({w.host for w in others})
    return f"{listing(names)}, other models at {hosts} other hosts, moved in the same hours"


def _of(facts: Facts, roles: Collection[Role], movement: Movement) -> list[Witness]:
    return [w for w in facts.witnesses if w.role in roles and w.movement is movement]


# ---------------------------------------------------------------- in words


_UNRECORDED = "what was so on our side before the onset is not recorded"
_DOUBTS = {
    False: "the onset is not known so well that this must be the cause",
    True: "it changes so often that this may be a coincidence",
}
"""Why a cause that nothing contradicts is not the cause for sure; by ``is_usual``."""

_OPENINGS = {
    Whose.PROVIDER: "Most likely the provider",
    Whose.ENDPOINT: "Most likely this endpoint, not our side",
    Whose.OURS: "Most likely our side",
    Whose.UNKNOWN: "Cannot tell",
}


def _concluded(
    facts: Facts, causes: Sequence[OwnCause], verdict: Whose, *, because: Sequence[str], tell: str = ""
) -> Attribution:
    """Put the verdict into words, and list all that was looked at, the deciding reasons first."""
    joint = ", but " if verdict is Whose.UNKNOWN else "; "
    summary = f"{_OPENINGS[verdict]}: {joint.join(because[:2])}. {tell}".rstrip()
    own = [Reason(text=cause.text, points_to=Whose.OURS) for cause in causes]
    is_many = _have_many_moved(facts)
    seen = [Reason(text=w.sentence, points_to=_points_to(w, is_many=is_many)) for w in facts.witnesses]
    record = []
    if not facts.is_recorded:
        record.append(Reason(text=_UNRECORDED, points_to=Whose.UNKNOWN))
    elif not facts.own_causes and not facts.passed_over:
        text = "nothing that driftwatch records changed on our side around the onset"
        record.append(Reason(text=text, points_to=Whose.UNKNOWN))
    told = (*seen, *own, *facts.words, *record, *facts.passed_over, *facts.notes)
    reasons = {reason.text: reason for reason in told}
    if verdict is Whose.UNKNOWN and tell:
        reasons[tell] = Reason(text=tell, points_to=Whose.UNKNOWN)

    def order(reason: Reason) -> int:
        if reason.text in because:
            return 0
        return 1 if reason.points_to is verdict is not Whose.UNKNOWN else 2 + (reason.points_to is Whose.UNKNOWN)

    return Attribution(verdict=verdict, summary=summary, reasons=tuple(sorted(reasons.values(), key=order)))


def _points_to(witness: Witness, *, is_many: bool) -> Whose:
    """What one target points to on its own; one of many unrelated ones that moved, to our side."""
    if witness.movement is Movement.UNKNOWN or witness.role is Role.FEATURE:
        return Whose.UNKNOWN
    if witness.movement is Movement.STILL:
        return Whose.OURS if witness.role is Role.DIRECT else Whose.ENDPOINT
    return {
        Role.SAME_MODEL: Whose.PROVIDER,
        Role.FROZEN: Whose.OURS,
        Role.DIRECT: Whose.ENDPOINT,
        Role.HOST: Whose.ENDPOINT,
    }.get(witness.role, Whose.OURS if is_many else Whose.UNKNOWN)


def _what_there_is(facts: Facts) -> tuple[str, ...]:
    """The first things that speak, or that nothing does."""
    moved = [w.sentence for w in facts.witnesses if w.movement is Movement.MOVED and w.role is not Role.FEATURE]
    if moved:
        return moved[0], "nothing shows that our side did not move them"
    still = _of(facts, _SAME_SIDE, Movement.STILL)
    if still:
        return still[0].sentence, "it stands nearer than what moved, which says nothing of the network beyond"
    return ("no other target tells anything" if facts.witnesses else "there is no other target to compare it with",)


def _beyond(facts: Facts) -> str:
    """What is left open by a verdict about the endpoint alone."""
    if any(w.role is Role.SAME_MODEL for w in facts.witnesses):
        return "Whether the same model changed elsewhere too is not known yet."
    return "Whether the same model changed elsewhere too is not known; a same_model control would tell."


def _advice(facts: Facts) -> str:
    """What would be needed to tell."""
    told = [w for w in facts.witnesses if w.movement is not Movement.UNKNOWN and w.is_remote]
    silent = [w for w in facts.witnesses if w.role is Role.SAME_MODEL and w.movement is Movement.UNKNOWN]
    waiting = [w.name for w in silent if not w.needs]
    wanted = [w.needs for w in facts.witnesses if w.needs and (w.is_declared or w.role is Role.SAME_MODEL)][:NAMED]
    to_add = []
    if not silent and not any(w.role is Role.SAME_MODEL for w in told):
        to_add.append("a target with the same model at another host (`controls: {NAME: same_model}`)")
    if not any(w.role in _UNRELATED for w in told):
        to_add.append("one at another host with weights that nobody changes (`controls: {NAME: frozen}`)")
    wanted += [f"add {' and '.join(to_add)}"] if to_add else []
    later = f"More runs of {listing(waiting[:NAMED])} may tell: `driftwatch report` asks again." if waiting else ""
    add = f"To tell next time, {'; '.join(wanted)}." if wanted else ""
    return " ".join(part for part in (later, add) if part) or "More runs may tell: `driftwatch report` asks again."
