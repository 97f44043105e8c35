"""From a document to what the store takes in, if it is for the question that the target asks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from driftwatch import lifecycle
from driftwatch.domain import Baseline, Completion, Outcome, Score, Target, Told, ToolCall
from driftwatch.errors import UsageError
from driftwatch.exchange.document import MOST_TOLD, Anchor, CalibrationRun, Document
from driftwatch.rebaseline import MINIMUM_RUNS, series_key
from driftwatch.score import CHANNELS, SCORING_VERSION, Embedder
from driftwatch.store import BroughtIn, BroughtRun

NAMED = 3
"""Canaries that a sentence names; a number stands for the rest."""


def fit(
    document: Document,
    target: Target,
    embedder: Embedder | None,
    *,
    source: str,
    replacing: Baseline | None,
    expires_at: datetime | None = None,
) -> BroughtIn:
    """A file's baseline as the target's.

    Args:
        document: what the file holds.
        target: as it is configured here.
        embedder: the one that this watch measures with.
        source: the file's name, for what is said of it.
        replacing: the target's current baseline, None when there is none.
        expires_at: until when it is accepted; None: for good.

    Raises:
        UsageError: it is for another question, or measured in another way: one sentence that says what differs.
    """
    differs = next(_differences(document, target, embedder), None)
    if differs is not None:
        raise UsageError(f"{source}: not for {target.name} as it is configured here: {differs}; nothing was written")
    if document.series_key != series_key(target, embedder):
        raise UsageError(
            f"{source}: its series_key does not follow from what else it says, so it was edited; export it again"
        )
    if len(document.calibration) < MINIMUM_RUNS:
        raise UsageError(
            f"{source}: it has {len(document.calibration)} calibration runs, and {MINIMUM_RUNS} are needed to arm a "
            "watch; export one that is armed"
        )
    anchors = [_completion(anchor, target) for anchor in document.anchors]
    return BroughtIn(
        target=target.name,
        series_key=document.series_key,
        author=document.accepted.author,
        reason=document.accepted.reason,
        created_at=document.accepted.at,
        anchors_wanted=document.anchors_wanted,
        calibration_wanted=document.calibration_wanted,
        scope=document.accepted.scope,
        replacing=replacing,
        expires_at=expires_at,
        anchors=anchors,
        calibration=[_run(run) for run in document.calibration],
        told=_beyond(document, anchors),
    )


def _differences(document: Document, target: Target, embedder: Embedder | None) -> Iterator[str]:
    asked, measured = document.target, document.scoring
    for name, theirs, ours in (
        ("provider", asked.provider, target.provider),
        ("model", asked.model, target.model),
    ):
        if theirs != ours:
            yield f"it was made with {name} {theirs}, and {ours} is asked here"
    canaries = {canary.id: canary.content_hash for canary in target.canaries}
    if document.suite.canaries != canaries:
        yield _canaries(document.suite.canaries, canaries)
    if document.suite.hash != target.suite_hash:
        yield "its suite's hash does not follow from its canaries"
    if asked.definition != target.definition_hash:
        yield "the target's address, parameters, options or repeats are others here"
    if measured.version != SCORING_VERSION:
        yield f"it was measured by scoring version {measured.version}, and this driftwatch has {SCORING_VERSION}"
    if measured.channels != sorted(CHANNELS):
        yield f"it was measured in other channels: {_few(set(measured.channels) ^ set(CHANNELS))}"
    revision = embedder.revision if embedder else None
    if measured.embedder != revision:
        yield f"it was measured with the embedder {measured.embedder or 'off'}, and {revision or 'off'} is used here"


def _canaries(theirs: Mapping[str, str], ours: Mapping[str, str]) -> str:
    edited = {name for name in theirs.keys() & ours.keys() if theirs[name] != ours[name]}
    said = [
        f"{what} {_few(names)}"
        for what, names in (
            ("edited since", edited),
            ("not in the file", ours.keys() - theirs.keys()),
            ("only in the file", theirs.keys() - ours.keys()),
        )
        if names
    ]
    return f"its canaries are others ({'; '.join(said)})"


def _few(names: Iterable[str]) -> str:
    known = sorted(names)
    rest = f" and {len(known) - NAMED} more" if len(known) > NAMED else ""
    return ", ".join(known[:NAMED]) + rest


def _completion(anchor: Anchor, target: Target) -> Completion:
    hashes = {canary.id: canary.content_hash for canary in target.canaries}
    return Completion(
        canary_id=anchor.canary,
        canary_hash=hashes[anchor.canary],
        repeat=anchor.repeat,
        outcome=Outcome.OK,
        at=anchor.at,
        latency_s=anchor.latency_s,
        text="\n".join(anchor.text),
        finish_reason=anchor.finish_reason,
        finish_detail=anchor.finish_detail,
        tool_calls=tuple(ToolCall(name=call.name, arguments=call.arguments, id=call.id) for call in anchor.tool_calls),
        input_tokens=anchor.input_tokens,
        output_tokens=anchor.output_tokens,
        cached_tokens=anchor.cached_tokens,
        reasoning_tokens=anchor.reasoning_tokens,
        ttft_s=anchor.ttft_s,
        gap_median_s=anchor.gap_median_s,
        gap_max_s=anchor.gap_max_s,
        served_model=anchor.served_model,
        fingerprint=anchor.fingerprint,
        upstream=anchor.upstream,
        headers=anchor.headers,
        logprobs=None if anchor.logprobs is None else [token.model_dump(mode="json") for token in anchor.logprobs],
    )


def _run(run: CalibrationRun) -> BroughtRun:
    return BroughtRun(
        scheduled_at=run.at,
        n_ok=run.ok,
        n_failed=run.failed,
        scores=[
            Score(channel=name, value=math.nan if found.value is None else found.value, by_canary=found.canaries)
            for name, found in run.scores.items()
        ],
    )


def _beyond(document: Document, anchors: Sequence[Completion]) -> list[Told]:
    """The metadata that the anchors themselves do not tell."""
    own = Counter(
        Told(
            canary_id=anchor.canary_id,
            outcome=anchor.outcome,
            served_model=anchor.served_model,
            fingerprint=anchor.fingerprint,
            upstream=anchor.upstream,
            input_tokens=anchor.input_tokens,
            deprecation=lifecycle.announced(anchor.headers),
        )
        for anchor in anchors
    )
    left = []
    for told in document.told:
        key = Told(
            canary_id=told.canary,
            outcome=told.outcome,
            served_model=told.served_model,
            fingerprint=told.fingerprint,
            upstream=told.upstream,
            input_tokens=told.input_tokens,
            deprecation=told.deprecation,
        )
        if (n := told.n - min(own[key], MOST_TOLD)) > 0:
            left.append(replace(key, n=n))
    return left
