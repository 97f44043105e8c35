"""What a user wants to be accepted, as written on the command line, and whether it makes sense."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from driftwatch.cli.context import unknown
from driftwatch.errors import UsageError

if TYPE_CHECKING:
    from driftwatch.domain import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the user wants to be accepted, as written."""

    name: str
    canaries: tuple[str, ...]
    suite: str | None
    since: str | None
    expires: str | None
    collect: bool
    group: bool
    source: Path | None

    @property
    def is_more(self) -> bool:
        """Whether anything but the target is named."""
        return any((self.canaries, self.suite, self.since, self.expires, self.collect, self.group, self.source))

    def check(self) -> None:
        """Refuse what cannot be wished for together."""
        if self.canaries and self.suite:
            raise UsageError("--suite names canaries already; leave out one of the two")
        narrow = bool(self.canaries or self.suite)
        for option, is_on, others in (
            ("--from", self.source is not None, narrow or bool(self.since) or self.collect or self.group),
            ("--collect", self.collect, narrow or bool(self.since)),
            ("--group", self.group, narrow),
        ):
            if is_on and others:
                raise UsageError(
                    f"{option} is about whole targets; leave out canaries, --suite"
                    + (" and --since" if option == "--collect" else "")
                    + (", --since, --collect and --group" if option == "--from" else "")
                )

    def ids(self, target: Target) -> list[str]:
        """The canaries that are named, each a canary of the target."""
        known = [canary.id for canary in target.canaries]
        for canary in self.canaries:
            if canary not in known:
                raise UsageError(unknown("canary", canary, known))
        if self.suite is None:
            return list(self.canaries)
        suites = dict.fromkeys(canary.suite for canary in target.canaries)
        if self.suite not in suites:
            raise UsageError(unknown("suite", self.suite, list(suites)))
        return [canary.id for canary in target.canaries if canary.suite == self.suite]

    def begun(self, at: datetime) -> datetime | None:
        """When the new behaviour began, None when nothing is said of it."""
        if self.since is None:
            return None
        begun = time(self.since)
        if begun is None:
            raise UsageError(f"--since {self.since!r} is not a time; write it like 2026-03-16T09:00Z")
        if begun > at:
            raise UsageError(f"--since {self.since} is in the future; write when the new behaviour began")
        return begun

    def until(self, at: datetime) -> datetime | None:
        """Until when it is accepted, None for good."""
        if self.expires is None:
            return None
        from driftwatch.config.fields import duration_s  # noqa: PLC0415 - pydantic is slow to import

        length_s = duration_s(self.expires)
        try:
            until = time(self.expires) if length_s is None else at + timedelta(seconds=length_s)
        except OverflowError:
            until = None
        if until is None:
            raise UsageError(
                f"--expires {self.expires!r} is neither a length nor a time; write 7d, 12h or 2026-03-16T09:00Z"
            )
        if until <= at:
            raise UsageError(f"--expires {self.expires} is over already; write a later time, or 7d")
        return until


def time(given: str) -> datetime | None:
    """A time as written, in UTC where no zone is given; None when it is none."""
    try:
        parsed = datetime.fromisoformat(given)
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
