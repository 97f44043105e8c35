"""The kind of change: what is named first, what beside it, and that nothing is named without cause."""

from __future__ import annotations

import random
import re
from itertools import pairwise

import pytest

from driftwatch.domain import Kind, ToolCall
from driftwatch.score import KindOfChange as K, explain, far_replies

WORDS = tuple(
    re.findall(
        r"\w+",
        """
order parcel customer refund window return policy within days after delivery because invoice number
was missing from the letter that our team sent last week and nobody could find it again before
Monday morning came around
""",
    )
)
CANARIES = tuple(f"canary{i}" for i in range(10))


class Endpoint:
    """Serves a fixed sentence per canary in which a share of the words varies, as at a temperature."""

    def __init__(self, seed: int = 0, *, varies: float = 0.25, n_words: int = 40) -> None:
        self.rng = random.Random(seed)
        self.varies = varies
        fixed = random.Random(f"the model {seed // 100}")
        self.stems = {name: [fixed.choice(WORDS) for _ in range(n_words)] for name in CANARIES}

    def __call__(self, name: str, _i: int) -> dict[str, object]:
        said = [self.rng.choice(WORDS) if self.rng.random() < self.varies else word for word in self.stems[name]]
        return {"text": f"{' '.join(said)}.".capitalize()}


@pytest.fixture
def named(make):
    """named(before, after) → Explanation; each a function of (canary, i) → fields of a reply."""

    def run(before, after, *, n=12, about=Kind.BEHAVIOUR, names=CANARIES):
        def side(fields, k):
            return [make.reply(canary=name, **fields(name, i)) for name in names for i in range(k)]

        return explain(side(before, 8), side(after, n), [make.canary(name) for name in names], about=about, seed=3)

    return run


def edited(edit, *, share=1.0, seed=1, **endpoint):
    """An endpoint a share of whose replies is edited: text → fields."""
    serve, rng = Endpoint(seed, **endpoint), random.Random(seed)

    def reply(name, i):
        fields = serve(name, i)
        return {**fields, **edit(fields["text"])} if rng.random() < share else fields

    return reply


def half(text):
    return " ".join(text.split()[:20])


@pytest.mark.parametrize(
    ("kind", "edit"),
    [
        (K.TRUNCATED, lambda text: {"text": half(text), "finish_reason": "length"}),
        (K.TRUNCATED, lambda text: {"text": half(text), "finish_reason": None}),
        (K.SHORTER, lambda text: {"text": f"{half(text)}."}),
        (K.LONGER, lambda text: {"text": f"{text} I hope that this helps you, and do ask again whenever you like."}),
        (K.LONGER, lambda text: {"text": f"What a splendid question, let me think about it carefully. {text}"}),
        (K.REFUSES_MORE, lambda _text: {"text": "I'm sorry, but I can't help with that."}),
        (K.LANGUAGE, lambda text: {"text": text.lower().translate(str.maketrans("abdeimnorst", "абдеимнорст"))}),
        (K.FORMAT, lambda text: {"text": f"```\n{text}\n```"}),
        (
            K.FORMAT,
            lambda text: {"text": "- " + "\n- ".join(map(" ".join, zip(*[iter(text.split())] * 8, strict=False)))},
        ),
        (K.HIDDEN_PROMPT, lambda text: {"text": half(text)}),
    ],
    ids=lambda value: value.value if isinstance(value, K) else "",
)
def test_the_kind_is_named(named, kind, edit):
    def tokens(reply, more):
        def with_tokens(name, i):
            return {**reply(name, i), "input_tokens": 20 + 9 * CANARIES.index(name) + more}

        return with_tokens

    found = named(
        tokens(Endpoint(), 0),
        tokens(edited(edit), 41 if kind is K.HIDDEN_PROMPT else 0),
    )
    assert found.headline is not None
    assert found.headline.kind is kind
    assert not found.headline.text.endswith(".")


def test_nothing_is_named_where_nothing_changed(named):
    claims = [named(Endpoint(2 * i), Endpoint(2 * i + 1)).changes for i in range(8)]
    assert sum(map(bool, claims)) <= 1


def test_one_side_alone_explains_nothing(make):
    assert explain([make.reply("a")], [], []).changes == ()


def test_another_tokenizer_counts_in_proportion_and_a_hidden_prompt_the_same_everywhere(named):
    def tokens(count):
        serve = Endpoint()
        return lambda name, i: {**serve(name, i), "input_tokens": round(count(20 + 30 * CANARIES.index(name)))}

    proportional = named(tokens(lambda n: n), tokens(lambda n: 1.2 * n)).headline
    offset = named(tokens(lambda n: n), tokens(lambda n: n + 40)).headline
    gone = named(tokens(lambda n: n + 40), tokens(lambda n: n)).headline
    assert (proportional.kind, offset.kind, gone.kind) == (K.TOKENIZER, K.HIDDEN_PROMPT, K.HIDDEN_PROMPT)
    assert "1.20 times as many tokens" in proportional.why
    assert "40 more tokens, each the same number" in offset.why
    assert gone.text == "A hidden prompt or template is gone from every request"


def test_prompts_of_one_length_leave_open_which_it_is(named):
    alike = lambda n: lambda _name, _i: {"text": "Paris.", "input_tokens": n}  # noqa: E731 - a side in one line
    assert "too alike to rule out another tokenizer" in named(alike(20), alike(26)).headline.why


def test_a_minority_from_elsewhere_is_intermittent_with_its_share_and_its_replies(named):
    other = Endpoint(500)
    rng = random.Random(4)
    serve = Endpoint(1)
    found = named(Endpoint(), lambda n, i: other(n, i) if rng.random() < 0.1 else serve(n, i))
    assert found.headline.kind is K.INTERMITTENT
    assert len(found.far) == pytest.approx(12, abs=6)
    assert f"{len(found.far)} of 120 replies" in found.headline.why


def test_a_refused_minority_is_told_as_refusals(named):
    found = named(Endpoint(), edited(lambda _t: {"text": "I cannot assist with that."}, share=0.06, seed=11))
    assert found.headline.kind is K.REFUSES_MORE
    assert found.far == ()


def test_far_replies_are_those_beyond_every_accepted_one(make):
    before = [make.reply(f"It is Paris, number {i}.") for i in range(8)]
    odd = make.reply("Bananas are yellow and grow in bunches.")
    assert far_replies(before, [*before, odd]) == (odd,)
    assert far_replies(before[:2], [odd]) == ()  # two replies do not say how far replies lie apart


@pytest.mark.parametrize(
    ("was", "is_now", "kind"), [(0.1, 0.5, K.HOTTER), (0.5, 0.1, K.COLDER), (0.4, 0.0, K.IDENTICAL)]
)
def test_temperature_moves_the_spread_and_not_the_centre(named, was, is_now, kind):
    assert named(Endpoint(varies=was), Endpoint(1, varies=is_now)).headline.kind is kind


def test_another_model_is_far_everywhere(named):
    found = named(Endpoint(), Endpoint(700))
    assert found.headline.kind is K.DIFFERENT_MODEL
    assert "or a new system prompt" in found.headline.text  # no token counts rule it out


def test_unchanged_token_counts_rule_a_hidden_prompt_out(named):
    def counted(serve):
        return lambda name, i: {**serve(name, i), "input_tokens": 30}

    headline = named(counted(Endpoint()), counted(Endpoint(700))).headline
    assert headline.text == "A different model likely answers"
    assert "no hidden prompt was added" in headline.why


def test_another_model_name_with_other_words_is_another_model_whatever_else_changed(named):
    before, after = Endpoint(), Endpoint(700, n_words=90)
    found = named(
        lambda n, i: {**before(n, i), "served_model": "m-1", "input_tokens": 20},
        lambda n, i: {**after(n, i), "served_model": "m-2", "input_tokens": 60},
    )
    assert found.headline.kind is K.DIFFERENT_MODEL
    assert found.headline.text == "Another model answers (m-1 → m-2)"
    assert {K.LONGER, K.HIDDEN_PROMPT} <= {change.kind for change in found.changes[1:]}


def test_greedy_replies_that_fork_earlier_are_a_slight_change(named):
    before, after = Endpoint(varies=0), Endpoint(varies=0)

    def forked(name, i):
        words = after(name, i)["text"].split()
        return {"text": " ".join([*words[:9], "rather", *words[10:]])}

    headline = named(before, forked).headline
    assert headline.kind is K.SLIGHT
    assert "instead of 100 %" in headline.why


def test_broken_json_and_lost_tool_calls(named):
    good = lambda name, i: {"text": f'{{"label": "{name}", "place": {i % 3}}}'}  # noqa: E731 - a side in one line
    bad = lambda name, i: {"text": good(name, i)["text"].rstrip("}")}  # noqa: E731 - a side in one line
    assert named(good, bad).headline.kind is K.JSON_BROKEN
    call = lambda name, _i: {"tool_calls": (ToolCall(name="find", arguments=f'{{"q":"{name}"}}'),)}  # noqa: E731
    none = lambda name, _i: {"text": f"I would look for {name} in the catalogue."}  # noqa: E731 - see above
    assert named(call, none).headline.kind is K.TOOLS


def test_slower_leads_an_explanation_of_performance_and_never_one_of_behaviour(named):
    def timed(serve, seconds):
        return lambda name, i: {**serve(name, i), "latency_s": seconds + 0.01 * (i % 3)}

    sides = timed(Endpoint(), 1.0), timed(Endpoint(1), 2.5)
    assert named(*sides, about=Kind.PERFORMANCE).headline.text == "Replies take 2.5 times as long"
    assert named(*sides).changes == ()
    faster = named(timed(Endpoint(), 2.0), timed(Endpoint(1), 1.0), about=Kind.PERFORMANCE).headline
    assert (faster.kind, faster.text) == (K.FASTER, "Replies take 50 % less time")


def test_the_same_replies_are_always_explained_alike(named):
    first, again = (named(Endpoint(), Endpoint(700, varies=0.4)) for _ in range(2))
    assert first.changes == again.changes
    assert first.effects == again.effects


def test_kinds_beside_the_headline_are_ranked_and_no_second_whole_is_among_them(named):
    found = named(Endpoint(), Endpoint(700, n_words=90))
    whole = {K.SLIGHT, K.INTERMITTENT, K.IDENTICAL, K.COLDER, K.HOTTER, K.DIFFERENT_MODEL}
    assert not whole & {change.kind for change in found.changes[1:]}
    assert all(a.errors >= b.errors for a, b in pairwise(found.changes[1:]))


def test_one_reply_per_side_and_many_canaries_still_tell_another_model(named, make):
    before, after = Endpoint(), Endpoint(700)
    old = [make.reply(canary=name, **before(name, 0)) for name in CANARIES]
    new = [make.reply(f"Certainly! Here we go: {after(name, 0)['text']}", canary=name) for name in CANARIES]
    assert explain(old, new, []).headline.kind is K.DIFFERENT_MODEL


@pytest.mark.parametrize("text", ["", " ", "a", "\ud800", "🙂" * 50, "{" * 2000])
def test_odd_replies_are_explained_without_a_crash(named, text):
    odd = lambda _name, _i: {"text": text}  # noqa: E731 - a side in one line
    assert named(odd, odd).changes == ()
    named(Endpoint(), odd)
    named(odd, Endpoint())


def test_one_broken_json_canary_does_not_explain_that_all_others_are_unlike(named):
    before, after = Endpoint(), Endpoint(700)
    good = {"text": '{"label": "billing"}'}
    bad = {"text": "{label = billing"}
    json_first = CANARIES[0]
    found = named(
        lambda n, i: good if n == json_first else before(n, i), lambda n, i: bad if n == json_first else after(n, i)
    )
    assert found.headline.kind is K.DIFFERENT_MODEL
    (broken,) = [change for change in found.changes if change.kind is K.JSON_BROKEN]
    assert (broken.n_canaries, broken.explains < 0.5) == (1, True)
    assert found.headline.n_canaries >= 9
