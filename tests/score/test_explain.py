"""What people are told about a change, and what they are spared."""

from __future__ import annotations

import random

import pytest

from driftwatch.domain import Check, ToolCall
from driftwatch.score import describe_change, medoid

CANARIES = ("one", "two", "three", "four")


@pytest.fixture
def describe(make):
    """describe(before, after): each a function of (canary, i) → fields of a reply; 8 anchors, 4 replies since."""

    def run(before, after, checks=(), names=CANARIES):
        def side(fields, n):
            return [make.reply(canary=name, **fields(name, i)) for name in names for i in range(n)]

        canaries = [make.canary(name, checks=checks) for name in names]
        return describe_change(side(before, 8), side(after, 4), canaries)

    return run


def words(n):
    return " ".join(["1234"] * n)  # without letters: no script, no language


def constant(**fields):
    return lambda _name, _i: fields


def test_longer_replies(describe):
    got = describe(constant(text=words(34)), constant(text=words(48)))
    assert got == ("replies are 41 % longer (median 34 → 48 words)",)


def test_shorter_replies_and_fewer_tokens(describe):
    got = describe(constant(text=words(40), output_tokens=60), constant(text=words(10), output_tokens=15))
    assert got == (
        "replies are 75 % shorter (median 40 → 10 words)",
        "output tokens are 75 % fewer (median 60 → 15 tokens)",
    )


def test_a_reply_that_was_empty_has_no_percentage(describe):
    assert describe(constant(text=""), constant(text=words(5))) == ("replies are longer (median 0 → 5 words)",)


def test_a_word_less_is_not_shorter(describe):
    assert describe(constant(text=words(5)), constant(text=words(4))) == ()


def test_length_within_its_noise_is_not_told(describe):
    rng = random.Random(1)
    got = describe(
        lambda _n, _i: {"text": words(rng.randint(5, 60))},
        lambda _n, _i: {"text": words(rng.randint(5, 60))},
    )
    assert got == ()


def test_one_long_canary_is_not_longer_replies(describe):
    assert describe(constant(text=words(20)), lambda n, _i: {"text": words(400 if n == "one" else 20)}) == ()


def test_slower_and_more_tokens(describe):
    got = describe(constant(latency_s=0.8, output_tokens=10), constant(latency_s=1.44, output_tokens=20))
    assert got == (
        "output tokens are 100 % more (median 10 → 20 tokens)",
        "latency is 80 % higher (median 0.80 → 1.44 s)",
    )


def test_tokens_without_usage_are_not_compared(describe):
    assert describe(constant(output_tokens=None), constant(output_tokens=20)) == ()


def test_refuses_more_and_less(describe):
    answer, refusal = {"text": "Paris is the capital."}, {"text": "I can't help with that."}
    some = lambda _n, i: refusal if i == 0 else answer  # noqa: E731 - a side in one line
    assert describe(constant(**answer), some) == ("refuses more: 0 % → 25 % (+25 points [7, 49])",)
    assert describe(constant(**refusal), constant(**answer)) == ("refuses less: 100 % → 0 % (−100 points [−100, −78])",)


def test_json_is_told_of_the_canaries_that_answer_in_it(describe):
    def before(name, _i):
        return {"text": '{"a":"b"}' if name == "one" else "prose now"}

    def after(name, i):
        return {"text": "{'a':'b'}" if name == "one" and i < 3 else before(name, i)["text"]}

    assert describe(before, after) == ("replies that parse as JSON: 100 % → 25 % (−75 points [−95, −20])",)
    assert describe(after, before) == ()  # it usually was JSON already


def test_json_that_appears(describe):
    def after(_name, i):
        return {"text": '{"a":"b"}' if i else "'a' = 'b'"}

    assert describe(constant(text="'a' = 'b'"), after) == ("JSON appears: 0 % → 75 % (+75 points [48, 90])",)


@pytest.mark.parametrize(
    ("plain", "structured", "what"),
    [
        ("...\nabcd\n...", "```\nabcd\n```", "fenced code blocks"),
        (". a b c\n. d e f", "- a b c\n- d e f", "lists"),
        ("#head body", "# headbody", "headings"),
    ],
)
def test_structure_that_comes_and_goes(describe, plain, structured, what):
    assert f"{what} appear: 0 % → 100 % (+100 points [78, 100])" in describe(
        constant(text=plain), constant(text=structured)
    )
    assert f"{what} disappear: 100 % → 0 % (−100 points [−100, −78])" in describe(
        constant(text=structured), constant(text=plain)
    )


def test_tool_calls_that_come_and_go(describe):
    calls = {"tool_calls": (ToolCall(name="find", arguments="{}"),)}
    assert "tool calls disappear: 100 % → 0 % (−100 points [−100, −78])" in describe(
        constant(**calls), constant(text="find")
    )
    assert "tool calls appear: 0 % → 100 % (+100 points [78, 100])" in describe(
        constant(text="find"), constant(**calls)
    )


def test_another_script(describe):
    def after(name, i):
        return {"text": "да" if (name, i) in (("one", 0), ("two", 1)) else "no"}

    assert describe(constant(text="no"), after) == ("other script: Cyrillic 0 % → 12 % (+12 points [−1, 36])",)


def test_another_language_in_the_same_script(describe):
    english = "You can return the article within thirty days of the purchase."
    german = "Sie können den Artikel innerhalb von dreißig Tagen zurückgeben."
    assert describe(constant(text=english), constant(text=german)) == (
        "other language: de 0 % → 100 % (+100 points [78, 100])",
    )
    assert describe(constant(text=english), constant(text="1234 " * 12 + ".")) == ()  # without letters it is in none


def test_the_language_of_a_few_letters_or_of_code_is_not_guessed(describe):
    assert describe(constant(text="ja, ok"), constant(text="da, ok")) == ()
    code = f"```\n{'abcdefghij ' * 6}\n```"
    assert describe(constant(text=code), constant(text=code)) == ()


def test_cut_off_replies(describe):
    def after(name, i):
        return {"finish_reason": "length" if name == "one" or i == 0 else "stop"}

    assert describe(constant(), after) == ("finish_reason length 0 % → 44 % (+44 points [23, 64])",)
    assert describe(constant(finish_reason=None), constant(finish_reason=None)) == ()


def test_failing_checks(describe):
    checks = (Check(kind="contains", argument="Paris"), Check(kind="contains", argument="capital"))
    got = describe(constant(text="Paris, a capital"), constant(text="Paris, a caputal"), checks)
    assert got == ("checks failing: 0 % → 50 % (+50 points [26, 72])",)


def test_a_canary_that_is_not_given_has_no_checks(make):
    assert describe_change([make.reply("a")], [make.reply("a")], []) == ()


def test_served_model_and_fingerprint(describe):
    got = describe(constant(served_model="a", fingerprint="f1"), constant(served_model="b", fingerprint="f2"))
    assert got == ("served model a → b", "fingerprint f1 → f2")


def test_a_name_seen_before_is_no_news(describe):
    def alternating(_name, i):
        return {"fingerprint": "f1" if i % 2 else "f2"}

    assert describe(alternating, constant(fingerprint="f1")) == ()


def test_a_share_of_another_served_model_is_told_with_its_share(describe):
    after = lambda _n, i: {"served_model": "b" if i == 0 else "a"}  # noqa: E731 - a side in one line
    assert describe(constant(served_model="a"), after) == ("served model a → a (75 %), b (25 %)",)


def test_many_names_are_counted_and_long_ones_cut(describe):
    got = describe(constant(), lambda n, i: {"fingerprint": f"{n}{i}"})
    assert got[0].startswith("fingerprint none → one0 (6 %), ")
    assert got[0].endswith(", 13 more")
    assert describe(constant(), constant(fingerprint="x\n" * 200)) == (f"fingerprint none → {('x ' * 40)}",)


def test_a_longer_prompt_behind_the_same_words(describe):
    got = describe(constant(input_tokens=24), constant(input_tokens=61))
    assert got == ("input tokens of the same prompts changed (median 24 → 61)",)
    assert describe(constant(input_tokens=24), constant(input_tokens=24)) == ()
    assert describe(constant(input_tokens=None), constant(input_tokens=24)) == ()


def test_two_draws_of_the_same_source_are_usually_told_as_no_change(make):
    rng = random.Random(5)

    def draw(n):
        return [
            make.reply(
                words(rng.randint(20, 60)) + rng.choice(["", "\n- a\n- b", "\n# Head"]),
                canary=name,
                latency_s=rng.lognormvariate(0, 0.4),
                output_tokens=rng.randint(30, 90),
                finish_reason=rng.choice(["stop", "stop", "length"]),
            )
            for name in CANARIES
            for _ in range(n)
        ]

    canaries = [make.canary(name) for name in CANARIES]
    told = sum(len(describe_change(draw(8), draw(4), canaries)) for _ in range(60))
    # two lists, two heading, three size and two finish_reason statements could be made each time
    assert told <= 0.06 * 60 * 9


def test_another_mix_of_canaries_is_no_change(make):
    before = [make.reply("no", canary="one")] * 8 + [make.reply(words(90), canary="two")] * 2
    after = [make.reply("no", canary="one")] * 1 + [make.reply(words(90), canary="two")] * 8
    canaries = [make.canary("one"), make.canary("two")]
    assert describe_change(before, after, canaries) == ()


def test_failures_and_one_sided_canaries_are_left_out(make):
    before = [make.reply("no", canary="one"), make.reply(words(90), canary="two")]
    after = [make.reply("no", canary="one"), make.reply(canary="two", ok=False), make.reply("ja", canary="three")]
    assert describe_change(before, after, [make.canary("one")]) == ()
    assert describe_change(before, [], [make.canary("one")]) == ()


def test_the_medoid_is_the_most_typical_reply(make):
    replies = [make.reply(t) for t in ("It is Rome.", "It is Paris.", "It is Paris!", "It is Paris.", "xyz")]
    assert medoid(replies) is replies[1]


def test_the_medoid_is_a_reply_unless_there_are_only_failures(make):
    failed = make.reply(ok=False)
    reply = make.reply("Paris.")
    assert medoid([failed, reply]) is reply
    assert medoid([failed]) is failed
    with pytest.raises(ValueError, match="no completions"):
        medoid([])
