"""Completions are foreign text: nothing in them reaches a reader's browser as anything but text."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from driftwatch.alert import incidents
from driftwatch.domain import Message
from driftwatch.report.page import LONGEST

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "image": '<img src="https://evil.example/x.png" onerror="alert(1)">',
    "end of pre": "</pre></div></section></body></html><h1>owned</h1>",
    "end of style": "</style><style>body{display:none}</style>",
    "attribute": '" onmouseover="alert(1)" x="',
    "comment": "<!-- everything after this is gone",
    "cdata": "]]><![CDATA[ x",
    "instruction": "<?xml version='1.0'?>",
    "entity": "&lt;b&gt; &amp; &#0; &#x202e;",
    "template": "{{ 7 * 7 }}{% include 'page.html.j2' %}{# x #}",
    "override": "safe\u202etxt.exe\u202c",
    "isolate": "\u2066hidden\u2069\u200b\u200d\ufeff",
    "nul": "a\x00b\x07c\x1b[31mred",
    "surrogate-like": "\ufffe\uffff\u2028\u2029",
    "tags": "ignore this\U000e0041\U000e0042",
}


@pytest.fixture
def page_with(make_world, script):
    """The page of a behaviour incident whose replies since the onset are this text."""

    def page_of(text: str, **changes) -> str:
        world = make_world(is_quiet=True)
        answers = {canary.id: [text, f"{text} again"] for canary in world.target.canaries}
        world.script = script(answers, change_at=world.slot(world.n_runs), **changes)
        world.run(6)
        return world.page(world.incident())

    return page_of


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_reply_is_shown_and_not_obeyed(page_with, read, text):
    html = page_with(text)
    page = read(html)
    assert "Before and after" in page.sections()
    assert len([tag for tag, _ in page.tags if tag == "body"]) == 1
    if text.isprintable() and "&" not in text:
        assert text in "".join(page.inside("ins")) + "".join(page.inside("pre"))
    if "<" in text:
        assert text not in html


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("safe\u202etxt.exe", "safe⟨U+202E⟩txt.exe"),
        ("a\x00b", "a⟨U+0000⟩b"),
        ("\x1b[31mred", "⟨U+001B⟩[31mred"),
        ("one\u2028two", "one⟨U+2028⟩two"),
    ],
)
def test_characters_that_steer_the_display_are_shown_by_their_code_point(page_with, read, text, shown):
    assert shown in read(page_with(text)).text


def test_a_reply_of_a_hundred_kilobytes_is_cut_and_says_so(page_with, read):
    for text in ("x" * 100_000, "word " * 20_000, "\n" * 100_000 + "end"):
        html = page_with(text)
        page = read(html)
        assert len(html) < 200_000
        assert "more characters)" in page.text or " …" in page.text


def test_a_hostile_model_name_fingerprint_and_author_are_text(page_with, read):
    html = page_with("unlike", served_model="<script>x</script>\u202e", fingerprint='"><img src=x onerror=alert(1)>')
    page = read(html)
    assert "<script>x</script>⟨U+202E⟩" in page.text
    assert '"><img src=x onerror=alert(1)>' in page.text


def test_a_hostile_error_is_text(make_world, read, script):
    world = make_world()
    start = (world.slot(0) - timedelta(hours=1)).isoformat()
    world.script = script(faults=({"from": start, "outcome": "unavailable"},))
    world.run(3)
    incident = world.incident()
    evil = {"last_error": "<script>1</script>\x00", "outcomes": {"<b>": 3}, "changes": ["<i>\u202e"]}
    incident = replace(incident, evidence={**incident.evidence, **evil})
    page = read(world.page(incident))
    assert "<script>1</script>⟨U+0000⟩" in page.text
    assert "<i>⟨U+202E⟩" in page.text


def test_a_hostile_prompt_reason_owner_and_address_are_text(drifted, read):
    evil = "<script>alert('prompt')</script>\u202e\x00"
    canaries = tuple(
        replace(canary, reason=evil, messages=(Message(role="user", content=evil * 5000),))
        for canary in drifted.target.canaries
    )
    drifted.target = replace(drifted.target, canaries=canaries, owner=evil, base_url=evil)
    html = drifted.page(drifted.incident())
    page = read(html)
    assert page.text.count("<script>alert('prompt')</script>⟨U+202E⟩⟨U+0000⟩") > 3
    assert len(html) < 30 * LONGEST


def test_a_person_who_writes_hostile_reasons_is_quoted(drifted, read):
    evil = "</td></table><script>1</script>"
    steps = incidents.acknowledge([drifted.incident()], author=evil, reason=evil, at=drifted.slot(60))
    drifted.store.commit_judgement(None, steps, at=drifted.slot(60))
    assert read(drifted.page(drifted.incident())).text.count(evil) == 4
