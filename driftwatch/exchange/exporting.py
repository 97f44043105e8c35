"""From a store to a document."""

from __future__ import annotations

from collections.abc import Mapping

from driftwatch import lifecycle
from driftwatch.domain import Baseline, BaselineState, Completion, Json, Purpose, Target
from driftwatch.errors import BaselineMissing, UsageError
from driftwatch.exchange.document import (
    FORMAT,
    MOST_TOLD,
    Accepted,
    Anchor,
    Asked,
    CalibrationRun,
    Call,
    Document,
    Measured,
    Metadata,
    Scoring,
    Suite,
    Token,
)
from driftwatch.rebaseline import series_key
from driftwatch.score import CHANNELS, SCORING_VERSION, Embedder
from driftwatch.store import Store


def export(store: Store, target: Target, embedder: Embedder | None, *, with_private: bool = False) -> Document:
    """The target's current baseline.

    Args:
        store: read only.
        target: as it is configured now.
        embedder: the one the target's scores are made with.
        with_private: whether replies of canaries that the suite marks private may be in it. Without them nothing can be
            compared to it, so there is no file without them.

    Raises:
        BaselineMissing: there is none.
        UsageError: it is not complete, it is for another question, or it holds private replies.
    """
    baseline = store.current_baseline(target.name)
    if baseline is None:
        raise BaselineMissing(f"{target.name} has no baseline yet; run `driftwatch baseline {target.name}` first")
    if baseline.series_key != series_key(target, embedder):
        raise UsageError(
            f"{target.name}: the target, its canaries or the embedder were changed since baseline {baseline.id} was "
            f"made; run `driftwatch baseline {target.name}`, which begins another, and export that"
        )
    if baseline.state is not BaselineState.ACTIVE:
        raise UsageError(
            f"{target.name}: baseline {baseline.id} is still being collected; run `driftwatch baseline {target.name}` "
            "and export it then"
        )
    private = sorted(canary.id for canary in target.canaries if canary.is_private)
    if private and not with_private:
        raise UsageError(
            f"{target.name}: the suite marks {private[0]} private"
            + (f", and {len(private) - 1} more" if len(private) > 1 else "")
            + "; a baseline holds replies in full: write --with-private to put them into the file all the same"
        )
    return Document(
        driftwatch_baseline=FORMAT,
        series_key=baseline.series_key,
        target=Asked(name=target.name, provider=target.provider, model=target.model, definition=target.definition_hash),
        suite=Suite(
            hash=target.suite_hash,
            canaries={c.id: c.content_hash for c in sorted(target.canaries, key=lambda canary: canary.id)},
        ),
        scoring=Scoring(
            version=SCORING_VERSION,
            channels=sorted(CHANNELS),
            embedder=embedder.revision if embedder else None,
        ),
        accepted=Accepted(
            author=_plain(baseline.author),
            at=baseline.created_at,
            reason=_plain(baseline.reason),
            scope=sorted(baseline.scope),
        ),
        anchors_wanted=baseline.anchors_wanted,
        calibration_wanted=baseline.calibration_wanted,
        private=private,
        anchors=_anchors(store, baseline),
        calibration=_calibration(store, baseline),
        told=[
            Metadata(
                canary=told.canary_id,
                n=min(told.n, MOST_TOLD),
                outcome=told.outcome,
                served_model=told.served_model,
                fingerprint=told.fingerprint,
                upstream=told.upstream,
                input_tokens=told.input_tokens,
                deprecation=told.deprecation,
            )
            for told in store.told(baseline_id=baseline.id)
        ],
    )


def _plain(text: str) -> str:
    """What a person wrote, as one line that a reviewer sees whole."""
    return "".join(c if c.isprintable() else "�" for c in " ".join(text.split()))


def _anchors(store: Store, baseline: Baseline) -> list[Anchor]:
    """By canary, and of each in the order in which they are compared."""
    return [_anchor(reply) for _, accepted in sorted(store.anchors(baseline.id).items()) for reply in accepted]


def _anchor(reply: Completion) -> Anchor:
    return Anchor(
        canary=reply.canary_id,
        at=reply.at,
        repeat=reply.repeat,
        text=reply.text.split("\n"),
        tool_calls=[Call(name=call.name, arguments=call.arguments, id=call.id) for call in reply.tool_calls],
        finish_reason=reply.finish_reason,
        finish_detail=reply.finish_detail,
        input_tokens=reply.input_tokens,
        output_tokens=reply.output_tokens,
        cached_tokens=reply.cached_tokens,
        reasoning_tokens=reply.reasoning_tokens,
        latency_s=reply.latency_s,
        ttft_s=reply.ttft_s,
        gap_median_s=reply.gap_median_s,
        gap_max_s=reply.gap_max_s,
        served_model=reply.served_model,
        fingerprint=reply.fingerprint,
        upstream=reply.upstream,
        headers={
            name: value
            for name, value in sorted(reply.headers.items())
            if lifecycle.announced({name: value}) is not None
        },
        logprobs=None if reply.logprobs is None else [_token(token) for token in reply.logprobs],
    )


def _token(token: Mapping[str, Json]) -> Token:
    top = token.get("top")
    return Token(
        token=token.get("token"),
        logprob=token.get("logprob"),
        top=None if top is None else [(candidate, logprob) for candidate, logprob in top],
    )


def _calibration(store: Store, baseline: Baseline) -> list[CalibrationRun]:
    rows = [row for row in store.series(baseline.id) if row.purpose is Purpose.CALIBRATION]
    ids = [row.run_id for row in rows]
    by_channel = {name: store.canary_values(baseline.id, name, ids) for name in sorted(CHANNELS)}
    counts = store.run_counts(ids)
    return [
        CalibrationRun(
            at=row.scheduled_at,
            ok=counts[row.run_id][0],
            failed=counts[row.run_id][1],
            scores={
                name: Measured(value=row.values.get(name), canaries=dict(sorted(values[row.run_id].items())))
                for name, values in by_channel.items()
                if row.run_id in values
            },
        )
        for row in rows
    ]
