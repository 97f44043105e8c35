"""Ask one served variant everything the lab asks, and return the rows."""

from __future__ import annotations

import time
import zlib
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from benchmarks.lab.prompts import ONE_WORD, TEXTS
from benchmarks.lab.recordings import Row
from benchmarks.lab.serving import ALIAS

GREEDY_TOKENS = 40
SAMPLED_TOKENS = 40
SAMPLED_TEMPERATURE = 0.8
TOP = 20
"""Alternatives recorded per probe."""
PLAIN_SAMPLING = {"top_k": 0, "top_p": 1.0, "min_p": 0.0}
"""T = 1 without the server's own trimming of the tail, as hosted endpoints serve it."""
_OUTCOMES = {429: "rate_limited", 500: "unavailable"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is asked of one variant."""

    n_texts: int = len(TEXTS)
    greedy_repeats: int = 1
    sampled_repeats: int = 4
    """Completions per text canary at T = .8."""
    word_repeats: int = 16
    """Completions per one-word question at T = 1."""
    probe_repeats: int = 1
    """Replies per one-token probe; at temperature 0 they are all the same."""
    warmer: float = 0.0
    """Added to every temperature behind the client's back."""
    cut: int | None = None
    """Most tokens served, whatever was asked for."""
    seed: int = 1


TASKS = ("greedy", "probe", "word", "sampled")
"""What is asked, the cheapest first: a recording that is interrupted is still of use."""


def ask(base_url: str, variant: str, plan: Plan, probes: Mapping[str, str], *, tasks: Container[str]) -> list[Row]:
    """The rows of one variant.

    Args:
        base_url: Of the server, ends in ``/v1``.
        variant: Its name in the rows.
        plan: How much.
        probes: Prompt id → prompt, of the one-token probes at T = 0.
        tasks: Those of ``TASKS`` that are asked.
    """
    with httpx.Client(base_url=base_url, timeout=600) as client:
        asker = _Asker(client, variant, plan)
        rows: list[Row] = []
        if "greedy" in tasks:
            rows += [row for r in range(plan.greedy_repeats) for row in asker.greedy(r)]
        if "probe" in tasks and plan.probe_repeats:
            rows += asker.probes(probes)
        if "word" in tasks:
            rows += asker.words()
        if "sampled" in tasks:
            rows += asker.sampled()
        return rows


def gaps(base_url: str, candidates: Iterable[str]) -> dict[str, float]:
    """Candidate → the gap between its two likeliest first tokens in nats, by one greedy request each."""
    found = {}
    with httpx.Client(base_url=base_url, timeout=300) as client:
        for candidate in candidates:
            reply = _post(client, candidate, temperature=0, max_tokens=1, logprobs=True, top_logprobs=2).json()
            first, second = (t["logprob"] for t in reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"])
            found[candidate] = first - second
    return found


@dataclass(frozen=True, slots=True)
class _Asker:
    client: httpx.Client
    variant: str
    plan: Plan

    def greedy(self, repeat: int) -> list[Row]:
        asked = {"temperature": 0, "max_tokens": GREEDY_TOKENS, "seed": self.plan.seed + repeat}
        texts = list(enumerate(TEXTS[: self.plan.n_texts]))
        return [row for i, text in texts for row in self.rows("greedy", f"text-{i:02}", text, start=repeat, **asked)]

    def sampled(self) -> list[Row]:
        asked = {"temperature": SAMPLED_TEMPERATURE, "max_tokens": SAMPLED_TOKENS}
        texts = list(enumerate(TEXTS[: self.plan.n_texts]))
        return [
            row
            for i, text in texts
            for row in self.many("sampled", f"text-{i:02}", text, n=self.plan.sampled_repeats, **asked)
        ]

    def words(self) -> list[Row]:
        asked = {"temperature": 1, "max_tokens": 1, **PLAIN_SAMPLING}
        return [
            row
            for i, text in enumerate(ONE_WORD)
            for row in self.many("word", f"word-{i:02}", text, n=self.plan.word_repeats, **asked)
        ]

    def probes(self, probes: Mapping[str, str]) -> list[Row]:
        asked = {"temperature": 0, "max_tokens": 1, "logprobs": True, "top_logprobs": TOP}
        n = self.plan.probe_repeats
        return [row for name, text in probes.items() for row in self.many("probe", name, text, n=n, **asked)]

    def many(self, task: str, name: str, text: str, *, n: int, **asked: Any) -> list[Row]:
        """Up to 16 completions per request: the prompt is read once for all of them."""
        rows: list[Row] = []
        while len(rows) < n:
            # Without the variant in it, two variants would share their luck, and a difference would be seen too easily.
            seed = zlib.crc32(f"{self.plan.seed}/{self.variant}/{task}/{name}/{len(rows)}".encode())
            more = self.rows(task, name, text, start=len(rows), n=min(16, n - len(rows)), seed=seed, **asked)
            rows += more
            if more[0].outcome != "ok":
                break
        return rows

    def rows(self, task: str, name: str, text: str, *, start: int, **asked: Any) -> list[Row]:
        claimed = asked["temperature"]
        asked["temperature"] = claimed + self.plan.warmer
        if self.plan.cut is not None:
            asked["max_tokens"] = min(self.plan.cut, asked["max_tokens"])
        began = time.perf_counter()
        reply = _post(self.client, text, **asked)
        latency_s = time.perf_counter() - began
        common: dict[str, Any] = {"task": task, "prompt_id": name, "prompt": text, "variant": self.variant}
        common |= {"temperature": float(claimed), "latency_s": latency_s}
        if reply.status_code in _OUTCOMES:
            failure = {"output": "", "in_tokens": 0, "out_tokens": 0, "outcome": _OUTCOMES[reply.status_code]}
            return [Row(sample_idx=start, **common, **failure)]
        body = reply.raise_for_status().json()
        n_in, n_out = body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]
        single = len(body["choices"]) == 1  # the server counts the tokens of the first choice only
        return [
            Row(
                sample_idx=start + i,
                output=choice["message"]["content"],
                in_tokens=n_in,
                out_tokens=n_out if single else _n_tokens(choice, asked["max_tokens"], n_out, is_first=i == 0),
                finish_reason=choice["finish_reason"],
                logprobs=_top(choice) if "top_logprobs" in asked else None,
                **common,
            )
            for i, choice in enumerate(body["choices"])
        ]


def _n_tokens(choice: Mapping[str, Any], most: int, first: int, *, is_first: bool) -> int:
    """Tokens of one of several choices: as counted, the limit where it was hit, else about a token in 4.4 characters.

    Source of 4.4: single completions of this model to these prompts.
    """
    if is_first:
        return first
    if choice["finish_reason"] == "length":
        return most
    return min(most, 1 + round(len(choice["message"]["content"]) / 4.4))


def _top(choice: Mapping[str, Any]) -> tuple[tuple[str, float], ...] | None:
    """None where the reply ends before its first token: the server lists nothing then."""
    content = (choice.get("logprobs") or {}).get("content") or []
    return tuple((t["token"], float(t["logprob"])) for t in content[0]["top_logprobs"]) if content else None


def _post(client: httpx.Client, prompt: str, **asked: Any) -> httpx.Response:
    body = {"model": ALIAS, "messages": [{"role": "user", "content": prompt}], **asked}
    return client.post("/chat/completions", json=body)
