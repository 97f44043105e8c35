"""The simulated endpoint: a pure function of the request, with the statistics its script asks for."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import statistics
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from driftwatch.clock import stopwatch
from driftwatch.domain import Canary, Completion, Message, Outcome, Target
from driftwatch.errors import ProviderError, ReplyUnreadable
from driftwatch.providers import PROVIDERS, Connection

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)


def provider(personas: dict[str, object], start: str = "a", **more: object):
    script = {"seed": 7, "start": start, "personas": personas, **more}
    return PROVIDERS["simulated"](Connection(script=script))


async def many(simulated, target: Target, canary: Canary, at: datetime, n: int = 1000) -> list[Completion]:
    """n independent requests: ten repeats an hour."""
    return [await simulated.complete(target, canary, repeat=i % 10, at=at + (i // 10) * HOUR) for i in range(n)]


def in_band(hits: int, n: int, share: float) -> bool:
    """Within 4 standard deviations of the binomial; misses a right share once in 15,000 seeds."""
    return abs(hits - n * share) <= 4 * math.sqrt(n * share * (1 - share))


TWO = {"a": {"answers": {"core/greeting": ["A"]}}, "b": {"answers": {"core/greeting": ["B"]}, "fingerprint": "fp_b"}}


async def test_the_same_request_gets_the_same_reply_in_any_order(target, canary, at) -> None:
    first, second = provider({"a": {}}), provider({"a": {}})

    forward = await many(first, target, canary, at, 50)
    backward = [await second.complete(target, canary, repeat=c.repeat, at=c.at) for c in reversed(forward)]

    assert forward == backward[::-1]


async def test_every_part_of_the_request_matters(target, canary, at) -> None:
    simulated = provider({"a": {}})
    base = await simulated.complete(target, canary, repeat=0, at=at)
    other_canary = replace(canary, messages=(Message(role="user", content="Say good-bye."),))

    others = [
        await simulated.complete(target, canary, repeat=1, at=at),
        await simulated.complete(target, canary, repeat=0, at=at + HOUR),
        await simulated.complete(replace(target, name="other"), canary, repeat=0, at=at),
        await simulated.complete(target, other_canary, repeat=0, at=at),
        await provider({"a": {}}, seed=8).complete(target, canary, repeat=0, at=at),
    ]

    assert len({base.latency_s, *(c.latency_s for c in others)}) == 6


async def test_a_change_serves_its_share_and_leaves_the_rest(target, canary, at) -> None:
    simulated = provider(TWO, changes=[{"at": at, "persona": "b", "share": 0.16}])

    before = await many(simulated, target, canary, at - 200 * HOUR)
    after = await many(simulated, target, canary, at)

    assert {c.text for c in before} == {"A"}
    assert in_band(sum(c.text == "B" for c in after), 1000, 0.16)
    assert all((c.fingerprint == "fp_b") == (c.text == "B") for c in after)


async def test_misrouted_requests_are_independent_of_each_other(target, canary, at) -> None:
    simulated = provider(TWO, changes=[{"at": at, "persona": "b", "share": 0.5}])

    replies = [c.text for c in await many(simulated, target, canary, at, 2000)]

    assert in_band(sum(x == y for x, y in itertools.pairwise(replies)), 1999, 0.5)


async def test_changes_stack_on_what_was_served_before(target, canary, at) -> None:
    changes = [
        {"at": at, "persona": "b", "share": 0.5},
        {"at": at + 1000 * HOUR, "persona": "b", "share": 0.5},
        {"at": at + 2000 * HOUR, "persona": "a"},
    ]
    simulated = provider(TWO, changes=changes)

    second = await many(simulated, target, canary, at + 1000 * HOUR)
    third = await many(simulated, target, canary, at + 2000 * HOUR)

    assert in_band(sum(c.text == "B" for c in second), 1000, 0.75)
    assert {c.text for c in third} == {"A"}


@pytest.mark.parametrize(("variety", "first"), [(0.0, 1.0), (0.5, 0.625), (1.0, 0.25)])
async def test_variety_goes_from_one_answer_to_all_alike(variety, first, target, canary, at) -> None:
    simulated = provider({"a": {"variety": variety, "answers": {"core/greeting": ["0", "1", "2", "3"]}}})

    texts = [c.text for c in await many(simulated, target, canary, at)]

    assert in_band(texts.count("0"), 1000, first)
    assert set(texts) == ({"0"} if variety == 0 else {"0", "1", "2", "3"})


async def test_a_diurnal_persona_answers_otherwise_in_the_morning(target, canary) -> None:
    simulated = provider({"a": {"variety": 0.0, "diurnal": 0.4, "answers": {"core/greeting": ["0", "1"]}}})
    midnight = datetime(2026, 3, 2, tzinfo=UTC)

    async def share_at(hour: int) -> float:
        days = [midnight + timedelta(days=i, hours=hour) for i in range(100)]
        replies = [await simulated.complete(target, canary, repeat=r, at=at) for at in days for r in range(10)]
        return sum(c.text == "1" for c in replies)

    assert in_band(await share_at(6), 1000, 0.4)
    assert await share_at(18) == 0


async def test_latency_is_lognormal_around_its_median_and_not_waited_for(target, canary, at) -> None:
    simulated = provider({"a": {"latency_s": 30.0, "latency_spread": 0.25}})
    elapsed_s = stopwatch()

    logs = [math.log(c.latency_s) for c in await many(simulated, target, canary, at)]

    assert elapsed_s() < 5
    assert abs(statistics.fmean(logs) - math.log(30)) < 4 * 0.25 / math.sqrt(1000)
    assert abs(statistics.stdev(logs) - 0.25) < 4 * 0.25 / math.sqrt(2000)


async def test_waiting_is_real_when_asked_for(target, canary, at) -> None:
    simulated = provider({"a": {"latency_s": 0.05, "latency_spread": 0.0}}, wait=True)
    elapsed_s = stopwatch()

    got = await simulated.complete(target, canary, repeat=0, at=at)

    assert got.latency_s == pytest.approx(0.05)
    assert elapsed_s() >= 0.045


async def test_metadata_is_the_persona_s(target, canary, at) -> None:
    simulated = provider({"a": {"served_model": "m-0305", "fingerprint": "fp", "extra_input_tokens": 40}})
    plain = await provider({"a": {}}).complete(target, canary, repeat=0, at=at)

    got = await simulated.complete(target, canary, repeat=0, at=at)

    assert (got.served_model, got.fingerprint) == ("m-0305", "fp")
    assert (plain.served_model, plain.fingerprint) == (target.model, None)
    assert got.input_tokens == plain.input_tokens + 40
    assert got.output_tokens == round(len(got.text.split()) * 1.3)
    assert got.ttft_s is None


async def test_a_streaming_target_gets_a_time_to_the_first_token(target, canary, at) -> None:
    target = replace(target, stream=True)

    got = await provider({"a": {}}).complete(target, canary, repeat=0, at=at)

    assert 0 < got.ttft_s < got.latency_s


async def test_refusals_come_at_their_rate(target, canary, at) -> None:
    simulated = provider({"a": {"refusal_rate": 0.1, "answers": {"core/greeting": ["Hello."]}}})

    texts = [c.text for c in await many(simulated, target, canary, at)]

    assert in_band(sum(text != "Hello." for text in texts), 1000, 0.1)


async def test_json_breaks_at_its_rate_and_prose_never(target, canary, at) -> None:
    simulated = provider({"a": {"json_broken_rate": 0.2, "answers": {"core/greeting": ['{"a": 1}']}}})
    prose = provider({"a": {"json_broken_rate": 1.0, "answers": {"core/greeting": ["Hello."]}}})

    texts = [c.text for c in await many(simulated, target, canary, at)]

    assert in_band(texts.count('{"a": 1'), 1000, 0.2)
    assert {c.text for c in await many(prose, target, canary, at, 20)} == {"Hello."}


async def test_a_scripted_tool_call_is_served_as_one(target, canary, at) -> None:
    answer = {"tool": "get_weather", "arguments": {"city": "Oslo"}}
    simulated = provider({"a": {"answers": {"core/greeting": [answer]}}})

    got = await simulated.complete(target, canary, repeat=0, at=at)

    (call,) = got.tool_calls
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Oslo"})
    assert (got.text, got.finish_reason) == ("", "tool_calls")


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome not in {Outcome.OK, Outcome.NOT_ASKED}])
async def test_a_fault_raises_the_error_of_its_outcome(outcome, target, canary, at) -> None:
    fault = {"from": at, "until": at + HOUR, "outcome": outcome.value, "retry_after_s": 0.5}
    simulated = provider({"a": {}}, faults=[fault])

    with pytest.raises(ProviderError) as caught:
        await simulated.complete(target, canary, repeat=0, at=at)

    assert caught.value.outcome is outcome
    assert caught.value.retry_after_s == 0.5
    unreadable = {"empty_body", "not_json", "malformed", "error_body", "cut_off", "too_large"}
    assert isinstance(caught.value, ReplyUnreadable) == (outcome.value in unreadable)
    for other in (at - timedelta(seconds=1), at + HOUR):
        assert (await simulated.complete(target, canary, repeat=0, at=other)).is_ok


async def test_faults_hit_their_share(target, canary, at) -> None:
    simulated = provider({"a": {}}, faults=[{"from": at, "share": 0.3, "outcome": "unavailable"}])

    async def fails(repeat: int, hour: int) -> bool:
        try:
            await simulated.complete(target, canary, repeat=repeat, at=at + hour * HOUR)
        except ProviderError:
            return True
        return False

    failed = await asyncio.gather(*(fails(i % 10, i // 10) for i in range(1000)))

    assert in_band(sum(failed), 1000, 0.3)


# ---------------------------------------------------------------- made-up answers


async def test_a_canary_without_a_script_gets_four_to_eight_answers_of_the_persona_s_own(target, canary, at) -> None:
    changes = [{"at": at, "persona": "b"}]
    simulated = provider({"a": {}, "b": {}}, changes=changes)

    before = {c.text for c in await many(simulated, target, canary, at - 100 * HOUR)}
    after = {c.text for c in await many(simulated, target, canary, at)}

    assert 4 <= len(before) <= 8
    assert 4 <= len(after) <= 8
    assert not before & after
    assert all(text[0].isupper() and text.endswith(".") and len(text.split()) >= 5 for text in before | after)


async def test_made_up_answers_are_the_same_for_every_target(target, canary, at) -> None:
    simulated = provider({"a": {}})

    mine = {c.text for c in await many(simulated, target, canary, at, 200)}
    theirs = {c.text for c in await many(simulated, replace(target, name="other"), canary, at, 200)}

    assert mine == theirs


async def test_a_canary_with_tools_gets_a_fitting_call(target, canary, at) -> None:
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "unit": {"enum": ["c", "f"]},
            "days": {"type": "integer", "minimum": 2, "maximum": 4},
            "hourly": {"type": "boolean"},
            "tags": {"type": "array", "items": {"const": "x"}},
            "note": {"type": "string"},
        },
        "required": ["city", "unit", "days", "hourly", "tags"],
    }
    tool = {"type": "function", "function": {"name": "forecast", "parameters": schema}}
    canary = replace(canary, tools=("odd", tool))

    for got in await many(provider({"a": {}}), target, canary, at, 30):
        (call,) = got.tool_calls
        arguments = json.loads(call.arguments)
        assert call.name == "forecast"
        assert set(arguments) == set(schema["required"])
        assert arguments["unit"] in {"c", "f"}
        assert 2 <= arguments["days"] <= 4
        assert isinstance(arguments["hourly"], bool)
        assert arguments["tags"] == ["x"]


@pytest.mark.parametrize(
    ("response_format", "keys"),
    [
        ({"type": "json_object"}, {"answer"}),
        ({"type": "json_schema", "json_schema": {"schema": {"properties": {"total": {"type": "number"}}}}}, {"total"}),
    ],
)
async def test_a_canary_that_wants_json_gets_json(response_format, keys, target, canary, at) -> None:
    canary = replace(canary, response_format=response_format)

    for got in await many(provider({"a": {}}), target, canary, at, 20):
        assert set(json.loads(got.text)) == keys
