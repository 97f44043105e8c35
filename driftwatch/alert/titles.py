"""How an incident and its group are called: a few words for a title, and the targets they are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from driftwatch.alert.evidence import IncidentEvidence, lasting, trend
from driftwatch.alert.text import count, line, listing, uncapped
from driftwatch.domain import LASTING, WATCH, Announcement, Incident, Kind, Outcome, Wire

TARGETS_NAMED = 5
"""Targets that a sentence names; a number stands for the rest."""

_NAME = 100
_DETAIL = 80
"""Characters of a target's name, and of old and new value, in a title."""

_TRENDS = {
    "slower": "Slower",
    "faster": "Faster",
    "longer": "Longer replies",
    "shorter": "Shorter replies",
    "different": "Performance",
}
_WIRES = {
    Wire.SERVED_MODEL.value: "Another model",
    Wire.FINGERPRINT.value: "Another system fingerprint",
    Wire.UPSTREAM.value: "Another provider behind the router",
    Wire.INPUT_TOKENS.value: "Another token count",
    Wire.ERRORS.value: "Requests refused",
    Wire.DEPRECATION.value: "End announced",
    Wire.RETIREMENT.value: "End of the model",
}
_TROUBLES = {
    "disk": "Disk trouble",
    "key": "Key not accepted",
    "quota": "Quota used up",
    "budget": "Budget used up",
    "stalled": "Watch stalled",
    "receiver": "Receiver out of reach",
    "broken": "Runs break off",
    "store": "Database cannot be written",
    "clock": "Clock jumped",
}
"""``driftwatch.alert.troubles.Trouble`` → title."""
_LONGEST_WORD = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """What happened, in the words of a title."""

    what: str
    """E.g. ``Drift`` or ``Another model``."""
    detail: str = ""
    """Old and new value, or the reason; empty when there is none worth a title."""

    def of(self, targets: str) -> str:
        """A title.

        >>> Called(what="Drift").of("shop-bot"), Called(what="Another model", detail="m-1 → m-2").of("shop-bot")
        ('Drift: shop-bot', 'Another model: m-1 → m-2 (shop-bot)')
        """
        return f"{self.what}: {self.detail} ({targets})" if self.detail else f"{self.what}: {targets}"

    def after(self, words: str, targets: str) -> str:
        """A title that says first what has become of it.

        >>> Called(what="Drift").after("Still open", "shop-bot")
        'Still open: drift, shop-bot'
        """
        detail = f" {self.detail}" if self.detail else ""
        return f"{words}: {uncapped(self.what)}{detail}, {targets}"


def called(incident: Incident, evidence: IncidentEvidence) -> Called:
    """What an incident is called."""
    if incident.kind is Kind.BEHAVIOUR:
        return Called(what="Drift")
    if incident.kind is Kind.PERFORMANCE:
        return Called(what=_TRENDS[trend(evidence.channels)])
    if incident.kind is Kind.AVAILABILITY:
        is_gone = lasting(evidence.outcomes) == LASTING[Outcome.MODEL_GONE]
        return Called(what="Model gone" if is_gone else "Cannot measure")
    if incident.kind is Kind.TRIPWIRE:
        # Incidents of before revision 0004 do not keep which wire it was.
        return Called(what=_WIRES.get(evidence.wire or "", "Other metadata"), detail=_detail(incident, evidence))
    # ``receiver:NAME``: each receiver is an incident of its own.
    trouble, _, which = incident.trouble.partition(":")
    return Called(what=_TROUBLES.get(trouble, "Watch impaired"), detail=line(which, _DETAIL) if which else "")


def called_of(announcement: Announcement) -> Called:
    """What the whole group is called: by its gravest incident that is open, else its gravest."""
    main = gravest(announcement)
    return called(main, IncidentEvidence.from_json(main.evidence))


def gravest(announcement: Announcement) -> Incident:
    """The incident that a group is shown by: open before over, then the graver one, then behaviour first."""
    kinds = list(Kind)
    return min(
        announcement.members,
        key=lambda member: (not member.is_open, member.severity.rank, kinds.index(member.kind), member.id),
    )


def begun_for(announcement: Announcement) -> tuple[Incident, ...]:
    """What the first message about a group is about: all of it, or the part that made it this receiver's business.

    Somebody may hear of a group when a target of theirs joins it. That part is what has the owner of the incident that
    is told; the leading incident stands first where it is in it, else the one that is told.
    """
    incident, lead = announcement.incident, announcement.lead
    owner = incident.evidence.get("owner")
    if incident.id == lead.id or (owner and lead.evidence.get("owner") == owner):
        return announcement.members
    others = [m for m in announcement.members if m.id != incident.id and owner and m.evidence.get("owner") == owner]
    return (incident, *others)


def targets_of(incidents: Sequence[Incident]) -> list[str]:
    """Their targets' names, each once and safe to show, in the order given.

    ``driftwatch`` itself is left out where others are named.
    """
    names = list(dict.fromkeys(line(incident.target, _NAME) for incident in incidents))
    return [name for name in names if name != WATCH] or names


def in_a_title(targets: Sequence[str]) -> str:
    """The first of them, and how many more.

    >>> in_a_title(["a"]), in_a_title(["a", "b", "c"])
    ('a', 'a and 2 more')
    """
    return targets[0] if len(targets) == 1 else f"{targets[0]} and {len(targets) - 1:,} more"


def named(targets: Sequence[str]) -> str:
    """As a sentence lists them, at most ``TARGETS_NAMED`` by name.

    >>> named(["a", "b"]), named(list("abcdefgh"))
    ('a and b', 'a, b, c, d, e and 3 more')
    """
    rest = len(targets) - TARGETS_NAMED
    return listing([*targets[:TARGETS_NAMED], *([f"{rest:,} more"] if rest > 0 else [])])


def counted(incidents: Sequence[Incident]) -> str:
    """How many targets, and of which provider where they have one in common.

    >>> counted([])
    '0 targets'
    """
    providers = {str(incident.evidence.get("provider") or "") for incident in incidents}
    of = f" of {line(providers.pop(), _LONGEST_WORD)}" if len(providers) == 1 and providers != {""} else ""
    return f"{count(len(targets_of(incidents)), 'target')}{of}"


def _detail(incident: Incident, evidence: IncidentEvidence) -> str:
    """What stands after the first colon of the stored headline, ``shop-bot names another model: m-1 → m-2, since …``.

    A headline without one, e.g. of an announced end, is told without the target and since when.
    """
    said = evidence.headline.removeprefix(incident.target).rsplit(", since ", 1)[0]
    head, colon, tail = said.partition(": ")
    is_named = bool(colon) or evidence.wire == Wire.RETIREMENT.value
    return line(tail if colon else head, _DETAIL) if is_named else ""
