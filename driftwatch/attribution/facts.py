"""What is known when somebody asks whose a change is: plain values, gathered elsewhere, judged in ``rules``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from driftwatch.alert.evidence import Reason
from driftwatch.domain import Kind


class Role(StrEnum):
    """What another target has in common with the one that moved."""

    SAME_MODEL = "same model"
    """The same model at another host."""
    FROZEN = "frozen"
    """Weights that nobody changes."""
    DIRECT = "direct"
    """What the feature that moved asks."""
    FEATURE = "feature"
    """The team's own feature on top of the endpoint that moved."""
    HOST = "same host"
    """Another model at the same host."""
    OTHER = "other"
    """Neither the host nor the model: it shares driftwatch, its machine and its network alone."""


class Movement(StrEnum):
    """Whether another target moved when this one did."""

    MOVED = "moved"
    STILL = "still"
    """It would very probably have shown the same change, and did not."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """Another target, and what it says."""

    name: str
    role: Role
    movement: Movement
    how: str
    """What was seen, to go on after the name: ``moved too: its own alarm, since …``, ``says nothing: …``."""
    host: str
    """Where it is asked."""
    is_remote: bool = True
    """Whether it is asked over the network that the target is asked over; otherwise it stands nearer, and says nothing
    of the way beyond."""
    needs: str = ""
    """Where it says nothing: what would make it tell, to go on after "To tell next time, "; empty: more runs may."""
    is_declared: bool = False
    """Whether the operator named it as a control; otherwise its model or host did."""

    @property
    def sentence(self) -> str:
        """Who it is and what was seen, to go on in a sentence."""
        return f"{self.name} ({_WHO[self.role]}) {self.how}"


_WHO = {
    Role.SAME_MODEL: "the same model at another host",
    Role.FROZEN: "frozen",
    Role.DIRECT: "the endpoint that the feature asks",
    Role.FEATURE: "our feature on top of it",
    Role.HOST: "at the same host",
    Role.OTHER: "another model at another host",
}


class Scope(StrEnum):
    """What a cause on our side would move."""

    ALL = "all"
    """Everything that is watched from here."""
    NETWORK = "network"
    """Everything that is asked over the network, so not what stands on this machine."""
    ACCOUNT = "account"
    """Everything that is asked with the same key."""
    ONE = "one"
    """The target alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCause:
    """Something on our side that explains a change of the target."""

    text: str
    """One sentence."""
    scope: Scope
    is_near: bool = True
    """Whether it was where the onset most likely is, and not merely where it may be."""
    is_usual: bool = False
    """Whether such things happen so often that one there may be a coincidence: it then proves nothing, and the other
    side is not blamed beside it either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that is judged."""

    target: str
    kind: Kind
    witnesses: tuple[Witness, ...] = ()
    own_causes: tuple[OwnCause, ...] = ()
    """What changed on our side around the onset, or went wrong there."""
    is_recorded: bool = False
    """Whether it is known what was so on our side before the onset; without, no change is no information."""
    words: tuple[Reason, ...] = ()
    """What the endpoint's own replies say of the cause."""
    notes: tuple[Reason, ...] = ()
    """What was looked at and says nothing."""
    passed_over: tuple[Reason, ...] = ()
    """Changes on our side that say nothing: usual ones away from where the onset most likely is, and constant ones."""
    is_frozen: bool = False
    """Whether the target is itself declared as frozen: nothing but our side changes it."""
