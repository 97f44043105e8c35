"""The ground the acceptance with a real model stands on: same weights, same words; other weights, other words."""

from __future__ import annotations

import httpx
import pytest

pytestmark = [pytest.mark.real_model, pytest.mark.slow]

PROMPTS = (
    "Write one sentence about the sea.",
    "List three fruits.",
    "Explain in two sentences why the sky is blue.",
    "Translate 'good morning' into French.",
)


def ask(base_url: str, model: str) -> list[str]:
    """The replies to the prompts at temperature 0."""
    replies = []
    with httpx.Client(base_url=base_url, timeout=60) as client:
        for prompt in PROMPTS:
            body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
            reply = client.post("/chat/completions", json={**body, "temperature": 0, "max_tokens": 40})
            reply.raise_for_status()
            assert reply.json()["model"] == model
            replies.append(reply.json()["choices"][0]["message"]["content"])
    return replies


def letters(text: str) -> float:
    """The share of letters, spaces and plain punctuation: near 1 for prose, lower for debris."""
    return sum(character.isalpha() or character in " \n,.:;'-!?\"0123456789" for character in text) / len(text)


def test_a_restart_with_the_same_weights_changes_no_reply(serve, model_file, model_name):
    with serve(model_file) as base_url:
        before = ask(base_url, model_name)
        again = ask(base_url, model_name)
    with serve(model_file) as base_url:
        after = ask(base_url, model_name)

    assert all(before)
    assert before == again
    assert before == after


def test_other_weights_under_the_same_name_answer_in_other_words(serve, model_file, variant_file, model_name):
    with serve(model_file) as base_url:
        address, before = base_url, ask(base_url, model_name)
    with serve(variant_file) as base_url:
        after = ask(base_url, model_name)

    assert address == base_url
    assert len(PROMPTS) == sum(old != new for old, new in zip(before, after, strict=True))
    assert all(letters(reply) > 0.9 for reply in before + after), after
    assert all(len(reply.split()) > 1 for reply in after), after


def test_the_reply_to_a_prompt_does_not_depend_on_what_was_asked_before(serve, model_file, model_name):
    with serve(model_file) as base_url:
        in_order = ask(base_url, model_name)
    with serve(model_file) as base_url, httpx.Client(base_url=base_url, timeout=60) as client:
        body = {"model": model_name, "messages": [{"role": "user", "content": PROMPTS[-1]}]}
        alone = client.post("/chat/completions", json={**body, "temperature": 0, "max_tokens": 40}).json()

    assert in_order[-1] == alone["choices"][0]["message"]["content"]
