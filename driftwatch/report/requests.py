"""The requests behind an incident, as a support desk looks them up: ids, times, parameters, hashes, texts."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC

from driftwatch.briefing import shown
from driftwatch.domain import Canary, Completion, Incident, Json, Kind, Purpose, Target
from driftwatch.providers.masking import mask
from driftwatch.report.escape import csv_cell
from driftwatch.report.figures import Window
from driftwatch.report.sharing import cleansed, cleansed_value, fingerprint, hosts_of, prompt_of
from driftwatch.store import Store

MAX_REQUESTS = 5_000
"""Requests since the onset of one target that a bundle holds, the first ones: enough to look up, fit to be mailed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request with its reply or failure."""

    period: str
    """``accepted`` before the change, ``since`` its onset."""
    target: Target
    canary: Canary | None
    """None: it has left the suites, or was edited since; its prompt is not known any more."""
    completion: Completion

    @property
    def is_private(self) -> bool:
        """Whether its texts stay in the team; what has left the suites can no longer say that it is not."""
        return self.canary is None or self.canary.is_private

    @property
    def prompt(self) -> str | None:
        """The messages as canonical JSON; None when they are not known any more."""
        return prompt_of(self.canary) if self.canary else None

    @property
    def parameters(self) -> Mapping[str, Json]:
        """What was sent beside the messages, without secrets and addresses."""
        if self.canary is None:
            return {}
        asked: dict[str, Json] = dict(self.target.parameters_for(self.canary))
        offered = {
            "tools": list(self.canary.tools),
            "tool_choice": self.canary.tool_choice,
            "response_format": self.canary.response_format,
        }
        told = {**asked, **{name: value for name, value in offered.items() if value and not self.is_private}}
        return dict(cleansed_value(told, hosts_of(self.target)))


def asked(store: Store, targets: Mapping[str, Target], members: Sequence[Incident]) -> list[Asked]:
    """The accepted replies that a group's incidents were found against, and the requests since their onset."""
    found: dict[int | None, Asked] = {}
    for member in members:
        for request in _of(store, targets.get(member.target), member):
            # Two incidents of one target are found against the same replies.
            found.setdefault(request.completion.id, request)
    return list(found.values())


def as_csv(requests: Sequence[Asked]) -> str:
    """One line for each request, without long texts; a spreadsheet computes nothing in it."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    rows = [_row(request) for request in requests]
    writer.writerow(COLUMNS)
    writer.writerows([csv_cell(row[name]) for name in COLUMNS] for row in rows)
    return buffer.getvalue()


def as_jsonl(requests: Sequence[Asked]) -> str:
    """One JSON object for each request, with the reply unless it is private."""
    return "".join(
        json.dumps({**_row(request), "parameters": request.parameters, **_reply(request)}, sort_keys=True) + "\n"
        for request in requests
    )


def prompts(requests: Sequence[Asked]) -> str:
    """One JSON object for each prompt: its hash, and its messages unless it is private."""
    found = {request.canary.id: request for request in requests if request.canary is not None}
    return "".join(json.dumps(_prompt(found[name]), sort_keys=True) + "\n" for name in sorted(found))


COLUMNS = (
    "target", "period", "at", "outcome", "request_id", "requested_model", "served_model", "fingerprint", "upstream",
    "canary", "private", "repeat", "attempts", "finish_reason", "input_tokens", "output_tokens", "latency_s", "ttft_s",
    "parameters", "prompt_sha256", "prompt_characters", "reply_sha256", "reply_characters", "error",
)  # fmt: skip
"""Of requests.csv; docs/evidence.md says what they mean."""


def _of(store: Store, target: Target | None, member: Incident) -> Iterator[Asked]:
    if target is None:
        return
    canaries = {canary.id: canary for canary in target.canaries}

    def request(period: str, completion: Completion) -> Asked:
        canary = canaries.get(completion.canary_id)
        is_same = canary is not None and canary.content_hash == completion.canary_hash
        return Asked(period=period, target=target, canary=canary if is_same else None, completion=completion)

    if member.baseline_id is not None and member.kind is not Kind.AVAILABILITY:
        anchors = store.anchors(member.baseline_id)
        yield from (request("accepted", completion) for name in sorted(anchors) for completion in anchors[name])
    window = Window(onset_at=member.onset_at, end_at=member.resolved_at)
    runs = [r for r in store.runs(target.name, since=member.onset_at) if window.holds(r.scheduled_at)]
    watched = [run for run in runs if run.purpose is Purpose.WATCH] or runs
    n = 0
    for run in watched:
        for completion in store.completions([run.id])[run.id]:
            yield request("since", completion)
            n += 1
        if n >= MAX_REQUESTS:
            return


def _row(request: Asked) -> dict[str, Json]:
    told, prompt, text = request.completion, request.prompt, shown(request.completion)
    return {
        "target": request.target.name,
        "period": request.period,
        "at": told.at.astimezone(UTC).isoformat(timespec="milliseconds"),
        "outcome": told.outcome.value,
        "request_id": told.request_id,
        "requested_model": request.target.model,
        "served_model": told.served_model,
        "fingerprint": told.fingerprint,
        "upstream": told.upstream,
        "canary": told.canary_id,
        "private": "yes" if request.is_private else "no",
        "repeat": told.repeat,
        "attempts": told.attempts,
        "finish_reason": told.finish_reason,
        "input_tokens": told.input_tokens,
        "output_tokens": told.output_tokens,
        "latency_s": round(told.latency_s, 3),
        "ttft_s": None if told.ttft_s is None else round(told.ttft_s, 3),
        "parameters": json.dumps(request.parameters, sort_keys=True) if request.parameters else None,
        "prompt_sha256": fingerprint(prompt) if prompt is not None else None,
        "prompt_characters": len(prompt) if prompt is not None else None,
        "reply_sha256": fingerprint(text) if told.is_ok else None,
        "reply_characters": len(text) if told.is_ok else None,
        # A failure's sentence may quote what came instead of a reply.
        "error": cleansed(told.error, hosts_of(request.target)) if told.error and not request.is_private else None,
    }


def _reply(request: Asked) -> dict[str, Json]:
    headers = {"headers": cleansed_value(dict(sorted(request.completion.headers.items())), hosts_of(request.target))}
    if request.is_private or not request.completion.is_ok:
        return headers
    return {**headers, "reply": mask(shown(request.completion))}


def _prompt(request: Asked) -> dict[str, Json]:
    assert request.canary is not None  # noqa: S101 - only such requests come here
    prompt = prompt_of(request.canary)
    told: dict[str, Json] = {
        "canary": request.canary.id,
        "private": "yes" if request.is_private else "no",
        "prompt_sha256": fingerprint(prompt),
        "prompt_characters": len(prompt),
    }
    if request.is_private:
        return told
    messages = [{"role": m.role, "content": mask(m.content)} for m in request.canary.messages]
    return {**told, "messages": messages, "parameters": request.parameters}
