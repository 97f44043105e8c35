"""What people do with incidents: one place for the command line, the buttons in Slack and whatever comes later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from driftwatch import rebaseline
from driftwatch.alert import incidents
from driftwatch.alert.incidents import UNMEASURED
from driftwatch.alert.text import listing, when
from driftwatch.domain import Announcement, Incident, Silence, Step, Target
from driftwatch.errors import DriftwatchError, UsageError
from driftwatch.rebaseline import Acceptance
from driftwatch.score.embedder import Embedder
from driftwatch.store import Store

LARGEST_NUMBER = 2**63 - 1
"""The largest number of a row. Source: https://sqlite.org/datatype3.html, section 2."""

MATCHES = ("target", "kind", "owner", "feature", "severity", "incident")
"""What a silence may ask of an incident; see ``driftwatch.domain.Silence.match``."""


class Desk:
    """Acts on whole groups, by the number of any of their incidents. May block; safe to call from any thread.

    Who acts and why is stored with every act, and neither may be empty. What receivers are told of it is pending when
    a method returns; whoever delivers next, e.g. a running ``driftwatch serve``, tells them.

    Args:
        store: where incidents, silences and baselines are.
        targets: name → target, of all that the config has.
        embedder: the one the targets' scores are made with; None without one.
    """

    def __init__(self, store: Store, targets: Mapping[str, Target], embedder: Embedder | None = None) -> None:
        self._store, self._targets, self._embedder = store, targets, embedder

    def acknowledge(self, number: int, *, author: str, reason: str, at: datetime) -> list[Incident]:
        """Say that somebody is on it: reminders and escalations end.

        Returns:
            The incidents that moved.

        Raises:
            UsageError: there is no such incident, it is acknowledged or over, or author or reason is empty.
        """
        who, why = _signed(author, reason, "somebody is on it")
        return self._write(incidents.acknowledge(self._group(number), author=who, reason=why, at=at), at)

    def comment(self, number: int, *, author: str, reason: str, at: datetime) -> list[Incident]:
        """Note something for whoever reads of it, e.g. what was found out.

        Raises:
            UsageError: there is no such incident, it is over, or author or text is empty.
        """
        who, why = _signed(author, reason, "anybody should read it")
        return self._write(incidents.comment(self._group(number), author=who, reason=why, at=at), at)

    def resolve(self, number: int, *, author: str, reason: str, at: datetime) -> list[Incident]:
        """End it by hand. While its drift lasts, no other of its kind pages.

        Raises:
            UsageError: there is no such incident, it is over, or author or reason is empty.
        """
        who, why = _signed(author, reason, "the incident is over")
        return self._write(incidents.resolve(self._group(number), author=who, reason=why, at=at), at)

    def silence(self, number: int, *, length: timedelta, author: str, reason: str, at: datetime) -> Silence:
        """Tell nobody of one incident for a while; what still stands afterwards is told then.

        The silence is stored first: a note of it that nobody reads is less harm than a note of a silence that is none.

        Raises:
            UsageError: there is no such incident, it is over, the length is not positive, or author or reason is empty.
        """
        who, why = _signed(author, reason, "it is silenced")
        group = self._group(number)
        noted = f"silenced until {when(at + length)}: {why}"
        steps = incidents.comment(group, author=who, reason=noted, at=at)
        lead = str(group[0].lead_id)
        made = self.silence_where(
            {"incident": [lead]}, starts_at=at, ends_at=at + length, author=who, reason=why, at=at
        )
        try:
            self._write(steps, at)
        except DriftwatchError as error:
            raise UsageError(
                f"silence {made.id} of incident {lead} is in force, but could not be noted with it: {error}; "
                f"to take it back: driftwatch silence end {made.id} --reason …"
            ) from error
        return made

    def silence_where(
        self,
        match: Mapping[str, Sequence[str]],
        *,
        starts_at: datetime,
        ends_at: datetime,
        author: str,
        reason: str,
        at: datetime,
    ) -> Silence:
        """Tell nobody of what fits for a while, whether it is there already or begins meanwhile.

        Raises:
            UsageError: it asks for nothing or for something unknown, would be over already, or author or reason is
                empty.
        """
        who, why = _signed(author, reason, "it is silenced")
        wanted = {key: tuple(values) for key, values in match.items() if values}
        if not wanted:
            raise UsageError(
                "a silence of everything hides every page; name what it is about, e.g. --target 'support-*'"
            )
        if unknown := sorted(set(wanted) - set(MATCHES)):
            raise UsageError(f"a silence knows no {unknown[0]}; write one of: {', '.join(MATCHES)}")
        if ends_at <= max(starts_at, at):
            raise UsageError(f"a silence until {when(ends_at)} would be over already; write a later end")
        return self._store.add_silence(
            match=wanted, starts_at=starts_at, ends_at=ends_at, author=who, reason=why, at=at
        )

    def end_silence(self, silence_id: int, *, author: str, reason: str, at: datetime) -> Silence:
        """End a silence before its time: what still stands is told with the next delivery.

        Raises:
            UsageError: there is none, it has ended, or author or reason is empty.
        """
        who, _ = _signed(author, reason, "the silence ends")
        if silence_id > LARGEST_NUMBER:
            raise UsageError(f"there is no silence {silence_id}; list them with: driftwatch silence")
        return self._store.end_silence(silence_id, author=who, at=at)

    def accept(self, number: int, *, author: str, reason: str, at: datetime) -> list[Acceptance]:
        """Take the new behaviour of every target that is open in the group as normal, which ends its incidents.

        All acceptances are worked out before the first is written. Each is written by itself, whole or not at all:
        where one fails, those before it stand, and the error says which.

        Raises:
            UsageError: there is no such incident, it is over or about something no baseline makes normal, a target has
                left the config or has too few replies since the change, author or reason is empty, or an acceptance
                failed after others were written.
            BaselineMissing: a target has no baseline that could be replaced.
        """
        who, why = _signed(author, reason, "the new behaviour is accepted")
        group = self._group(number)
        standing = [member for member in group if member.is_open]
        if not standing:
            raise UsageError(f"incident {number} is over; there is nothing left to accept")
        names = list(dict.fromkeys(member.target for member in standing if member.kind not in UNMEASURED))
        if not names:
            raise UsageError(
                f"incident {number} is about {standing[0].kind}, which no baseline makes normal; "
                f"when it is over, it ends by itself"
            )
        if gone := [name for name in names if name not in self._targets]:
            raise UsageError(f"target '{gone[0]}' is not in the config any more; resolve the incident instead")
        targets = [self._targets[name] for name in names]
        proposals = [rebaseline.propose(self._store, target, self._embedder) for target in targets]
        done: list[Acceptance] = []
        for target, proposal in zip(targets, proposals, strict=True):
            try:
                accepted = rebaseline.accept(
                    self._store,
                    target,
                    self._embedder,
                    canary_ids=(),
                    since=None,
                    author=who,
                    reason=why,
                    at=at,
                    proposal=proposal,
                )
            except DriftwatchError as error:
                if not done:
                    raise
                raise UsageError(_half_done(names, len(done), error)) from error
            done.append(accepted)
        return done

    def evidence(self, number: int) -> Announcement:
        """The group as it stands, with its latest edge.

        Raises:
            UsageError: there is no such incident.
        """
        found = self._store.announcement(number) if number <= LARGEST_NUMBER else None
        if found is None:
            raise self._unknown(number)
        return found

    def _group(self, number: int) -> list[Incident]:
        found = self._store.group(number) if number <= LARGEST_NUMBER else []
        if not found:
            raise self._unknown(number)
        return found

    def _unknown(self, number: int) -> UsageError:
        latest = dict.fromkeys(incident.lead_id for incident in self._store.incidents(limit=10))
        known = ", ".join(map(str, latest)) or "none"
        return UsageError(f"no incident {number}; there are: {known}")

    def _write(self, steps: Sequence[Step], at: datetime) -> list[Incident]:
        return self._store.commit_judgement(None, steps, at=at)


def _half_done(names: Sequence[str], n_done: int, error: DriftwatchError) -> str:
    rest = names[n_done:]
    return (
        f"the new behaviour of {listing(names[:n_done])} is accepted, that of {listing(rest)} is not: {error}; "
        f"what is accepted stands. Look at the rest with: driftwatch rebaseline {rest[0]} --preview"
    )


def _signed(author: str, reason: str, what: str) -> tuple[str, str]:
    if not author.strip():
        raise UsageError("nobody is named who decides; the name is stored with the decision")
    if not reason.strip():
        raise UsageError(f"the reason is empty; write why {what}")
    return author.strip(), reason.strip()
