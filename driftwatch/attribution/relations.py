"""What the targets of a watch have in common: where they are asked, which model, and what the operator declared."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from urllib.parse import urlsplit

from driftwatch.attribution.facts import Role
from driftwatch.domain import Control, Target
from driftwatch.providers import PROVIDERS

_WHERE = ("region", "location", "project", "upstream")
"""Options that choose where a provider without an address of its own is asked, or who answers behind a router."""

_OWN_NAMES = (".internal", ".lan", ".local", ".localhost", ".test")
"""Endings of names that no public server has. Source: RFC 6761, RFC 6762, RFC 9476 and common use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """Another target and what it has in common with the one that is asked about."""

    target: Target
    role: Role
    is_declared: bool


def relations(target: Target, fleet: Sequence[Target]) -> list[Relation]:
    """Every other target that can tell something, declared controls first, in the order of the config.

    A control for what a feature asks is one for the feature too. Undeclared: another target at the same host, the same
    model at another host, and any other model at any other host. What speaks ``http`` is somebody's feature on top of
    an unknown endpoint: undeclared it can tell nothing.

    Args:
        target: that moved.
        fleet: all targets under watch, itself included or not.
    """
    others = {other.name: other for other in fleet if other.name != target.name}
    declared = {name: Role(_ROLES[control]) for name, control in target.controls.items() if name in others}
    for name, other in others.items():
        control = other.controls.get(target.name)
        if control is Control.SAME_MODEL:
            declared.setdefault(name, Role.SAME_MODEL)
        elif control is Control.FEATURE:
            declared.setdefault(name, Role.DIRECT)
    for name, role in list(declared.items()):
        if role is Role.DIRECT:
            further = others[name].controls.items()
            declared |= {n: _ROLES[c] for n, c in further if n in others and n not in declared}
    siblings = {name: _sibling(target, other) for name, other in others.items() if name not in declared}
    found = [Relation(target=others[name], role=role, is_declared=True) for name, role in declared.items()]
    order = [Role.SAME_MODEL, Role.HOST, Role.OTHER]
    undeclared = sorted(
        ((name, role) for name, role in siblings.items() if role), key=lambda pair: order.index(pair[1])
    )
    return found + [Relation(target=others[name], role=role, is_declared=False) for name, role in undeclared]


def is_frozen(target: Target, fleet: Sequence[Target]) -> bool:
    """Whether any target names it as its frozen control."""
    return any(other.controls.get(target.name) is Control.FROZEN for other in fleet)


def host(target: Target) -> str:
    """Where a target is asked: the host of its address, else its provider with the place that its options choose."""
    entry = PROVIDERS.get(target.provider)
    address = target.base_url or (entry.base_url if entry is not None else None)
    name = _host_of(address) if address else None
    where = [str(target.options[key]) for key in _WHERE if target.options.get(key)]
    return " ".join([name or target.provider, *where])


class Reach(IntEnum):
    """How far away a target is asked; what is asked farther away is asked over everything nearer too."""

    HERE = 0
    """On this machine."""
    OWN = 1
    """In a network of one's own."""
    PUBLIC = 2


def reach(target: Target) -> Reach:
    """How far away a target is asked.

    >>> reach(Target(name="t", provider="openai", model="m", canaries=())).name
    'PUBLIC'
    >>> reach(Target(name="t", provider="vllm", model="m", canaries=())).name
    'HERE'
    >>> reach(Target(name="t", provider="vllm", model="m", canaries=(), base_url="http://gpu.lan/v1")).name
    'OWN'
    """
    name = host(target).partition(" ")[0]
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        # Providers without an address are clouds; the simulated one is nowhere.
        has_address = target.base_url is not None or getattr(PROVIDERS.get(target.provider), "base_url", None)
        if not has_address:
            return Reach.HERE if target.provider == "simulated" else Reach.PUBLIC
        if name == "localhost" or name.endswith(".localhost"):
            return Reach.HERE
        return Reach.PUBLIC if "." in name and not name.endswith(_OWN_NAMES) else Reach.OWN
    if address.is_loopback:
        return Reach.HERE
    return Reach.PUBLIC if address.is_global else Reach.OWN


def is_remote(target: Target) -> bool:
    """Whether a target is asked over a public network, not on this machine or in a network of one's own."""
    return reach(target) is Reach.PUBLIC


_ROLES = {Control.SAME_MODEL: Role.SAME_MODEL, Control.FROZEN: Role.FROZEN, Control.FEATURE: Role.FEATURE}


def _sibling(target: Target, other: Target) -> Role | None:
    if other.provider == "http":
        return None
    if host(other) == host(target):
        return Role.HOST
    return Role.SAME_MODEL if _bare(other.model) == _bare(target.model) else Role.OTHER


def _bare(model: str) -> str:
    """A model's name without the vendor that routers and hosts put before it."""
    return model.rpartition("/")[2].casefold()


def _host_of(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
