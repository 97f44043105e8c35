"""``driftwatch plan``: cost and delay before anything is spent, and the setting that meets a wish."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

CONFIG = """\
store: watch.db
embedder: "off"
canaries: [suite.yaml]
targets:
  support:
    provider: openai
    model: gpt-4o-mini
"""
SUITE = """\
suite: s
canaries:
  - {id: capital, reason: a fact, prompt: What is the capital of France?, parameters: {max_tokens: 10}}
  - {id: colour, reason: a choice, prompt: Name a colour., parameters: {max_tokens: 10}}
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    from tests.cli.conftest import Place  # noqa: PLC0415 - not a fixture

    there = Place(tmp_path / "plan")
    there.write("driftwatch.yaml", CONFIG)
    there.write("suite.yaml", SUITE)
    monkeypatch.chdir(there.root)
    return there


@pytest.fixture
def priceless(place):
    """The same endpoint, under a name that no price list has."""
    place.edit("driftwatch.yaml", "model: gpt-4o-mini", "model: house-model-1")
    return place


# ---------------------------------------------------------------- as it is


def test_the_plan_tells_cost_delay_and_alarm_budget(place, driftwatch):
    done = driftwatch("plan")

    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("support  openai gpt-4o-mini · 2 canaries, repeats 1, every 1h\n")
    assert "cost requests tokens in tokens out US dollars a run 2 " in done.words
    assert "At $0.15 in and $0.6 out per million tokens (genai-prices" in done.words
    assert "confirmation bursts included (+2.4% runs)" in done.words
    for change in ("small, 1 sd", "medium, 2 sd", "large, 4 sd", "full swap another model behind the name"):
        assert change in done.words
    assert "Smallest change visible within a day: " in done.words
    assert "an alarm takes evidence A = 175,320; at most 0.1 false alarms a year expected." in done.words
    assert "Calibration: 168 runs, which take 7 days." in done.words
    assert not (place.root / "watch.db").exists()


def test_the_json_has_the_documented_keys(place, driftwatch):
    [told] = driftwatch("plan", "support", "--format", "json").json

    assert list(told) == ["target", "model", "present", "wish", "proposed"]
    assert (told["target"], told["wish"], told["proposed"]) == ("support", None, None)
    present = told["present"]
    assert list(present) == [
        "interval",
        "repeats",
        "canaries",
        "cost",
        "price",
        "tokens",
        "burst_share",
        "alarm",
        "calibration",
        "noise",
        "delays",
        "visible_sd",
        "shortest",
    ]
    assert (present["interval"], present["repeats"], present["tokens"], present["noise"]) == (
        "1h",
        1,
        "estimated",
        None,
    )
    assert present["cost"]["per_month"]["requests"] == pytest.approx(2 * 30.44 * 24 * 1.0241, rel=1e-3)
    assert present["calibration"] == {"runs": 168, "seconds": 604_800.0}
    assert list(present["delays"]) == ["small", "medium", "large", "swap"]
    assert present["delays"]["swap"]["median_s"] <= present["delays"]["large"]["median_s"]
    assert present["alarm"]["threshold"] == 175_320.0


def test_the_alarm_budget_of_the_config_moves_the_threshold(place, driftwatch):
    place.edit("driftwatch.yaml", "targets:", "alarm_budget: {false_alarms_per_year: 12}\ntargets:")

    [told] = driftwatch("plan", "--format", "json").json

    assert told["present"]["alarm"]["threshold"] == pytest.approx(8766 * 2 / 12)
    assert told["present"]["alarm"]["false_alarms_per_year"] == pytest.approx(12 * 1.0241, rel=1e-3)


def test_an_unknown_price_is_asked_for_and_requests_are_told_all_the_same(priceless, driftwatch):
    done = driftwatch("plan")

    assert done.code == 0
    assert "The price of house-model-1 is not known: write price: {input: …, output: …} for support" in done.words
    assert "a month 1,496" in done.words
    assert driftwatch("plan", "--format", "json").json[0]["present"]["cost"]["per_month"]["usd"] is None


def test_several_targets_are_told_with_their_sum(place, driftwatch):
    place.write("driftwatch.yaml", CONFIG + "  house: {provider: openai, model: house-model-1}\n")

    done = driftwatch("plan")

    assert "support  openai" in done.out
    assert "house  openai" in done.out
    assert "Together: 2,993 requests and $" in done.words
    assert done.words.endswith("a month, and 1 of unknown price.")


def test_a_watched_target_is_planned_with_its_own_noise_and_tokens(stable, driftwatch):
    [told] = driftwatch("plan", "--format", "json").json

    present = told["present"]
    assert present["tokens"] == "measured"
    assert present["calibration"]["runs"] == 20
    assert {"wording", "spread"} <= set(present["noise"])
    assert 0 < present["noise"]["wording"]["sd"] < 0.5
    done = driftwatch("plan")
    assert "1 sd, measured on 20 calibration runs: " in done.words
    assert "which take" not in done.words


def test_noise_measured_with_other_repeats_is_not_taken(stable, driftwatch):
    stable.edit("driftwatch.yaml", "repeats: 2", "repeats: 3")

    [told] = driftwatch("plan", "--format", "json").json

    assert told["present"]["noise"] is None


@pytest.mark.parametrize(
    ("interval", "words"), [("366d", "Calibration: 20 runs, which take 20 years."), ("60s", "every 1m")]
)
def test_extreme_intervals_are_planned_for_like_any_other(place, driftwatch, interval, words):
    place.write("driftwatch.yaml", CONFIG + f"    interval: {interval}\n")

    done = driftwatch("plan")

    assert done.code == 0
    assert words in done.words


# ---------------------------------------------------------------- wishes


def test_a_budget_ends_in_lines_for_the_config_that_the_config_takes(place, driftwatch):
    done = driftwatch("plan", "--budget", "$1/month")

    assert done.code == 0
    assert (
        "For a medium change within $1.00 a month, the cheapest within 5% of the fastest tried: told after"
        in done.words
    )
    lines = [line for line in done.out.splitlines() if line.startswith(("    interval: ", "    repeats: "))]
    assert len(lines) == 2
    place.write("driftwatch.yaml", CONFIG + "\n".join(lines) + "\n")
    after = driftwatch("plan", "--format", "json").json[0]["present"]
    assert after["cost"]["per_month"]["usd"] <= 1.0
    assert f"interval: {after['interval']}" in lines[0]


def test_the_json_of_a_wish_has_both_settings(place, driftwatch):
    [told] = driftwatch("plan", "--budget", "1", "--change", "large", "--format", "json").json

    assert told["wish"] == {"change": "large", "is_met": True, "usd_per_month": 1.0}
    assert told["proposed"]["cost"]["per_month"]["usd"] <= 1.0
    before, after = (told[key]["delays"]["large"]["median_s"] for key in ("present", "proposed"))
    assert after <= before


def test_a_budget_that_nothing_meets_names_the_cheapest(place, driftwatch):
    done = driftwatch("plan", "--budget", "$0.00001/year")

    assert done.code == 0
    assert "Nothing tried costs $8.3e-07 a month or less. The cheapest setting costs $" in done.words
    assert "    interval: 7d\n    repeats: 1\n" in done.out


def test_a_delay_is_met_and_said_with_its_price(place, driftwatch):
    [told] = driftwatch("plan", "--delay", "6h", "--format", "json").json

    assert told["wish"] == {"change": "medium", "is_met": True, "delay_s": 21_600.0}
    assert told["proposed"]["delays"]["medium"]["median_s"] <= 21_600.0
    assert "Cheapest that tells a medium change within 6 h: after" in driftwatch("plan", "--delay", "6h").words


def test_a_delay_that_nothing_meets_names_what_comes_near_and_claims_no_more(place, driftwatch):
    done = driftwatch("plan", "--delay", "1m", "--change", "swap")

    assert done.code == 0
    assert "within 1 min. The cheapest within 5% of the fastest tried does after" in done.words
    assert "jitter" not in done.words


def test_a_delay_is_planned_for_without_a_price(priceless, driftwatch):
    done = driftwatch("plan", "--delay", "1d")

    assert done.code == 0
    assert "requests a month." in done.words


def test_a_jitter_that_is_written_down_stays_shorter_than_the_proposed_interval(place, driftwatch):
    wish = ("plan", "--delay", "1m", "--format", "json")
    assert driftwatch(*wish).json[0]["proposed"]["interval"] == "5m"
    place.write("driftwatch.yaml", CONFIG + "    jitter: 20m\n")

    assert driftwatch(*wish).json[0]["proposed"]["interval"] in {"30m", "1h"}
    said = driftwatch(*wish[:-2]).words
    assert "Your jitter of 20m allows only longer intervals; without it, interval 5m and repeats " in said


def test_a_wish_that_is_met_already_is_said_before_anything_cheaper(place, driftwatch):
    met = "The present setting tells a full swap within 2 days already: after "
    said = driftwatch("plan", "--delay", "2d", "--change", "swap").words

    assert said.index(met) < said.index("Cheapest that tells a full swap within 2 days")
    assert "already" not in driftwatch("plan", "--delay", "1m", "--change", "swap").words
    assert "a month, within your $1.00." in driftwatch("plan", "--budget", "1").words


def test_what_a_proposal_makes_slower_is_warned_of(place, driftwatch):
    wish = ("plan", "--delay", "2d", "--change", "swap")
    [told] = driftwatch(*wish, "--format", "json").json
    delays = [told[key]["delays"]["large"]["median_s"] for key in ("present", "proposed")]

    assert delays[1] > delays[0]
    said = driftwatch(*wish).words
    assert "Slower than now: " in said
    assert "a large change is told after " in said
    assert "Slower than now" not in driftwatch("plan", "--delay", "1h", "--change", "small").words


def test_a_calibration_of_months_is_warned_of(place, driftwatch):
    warning = "No statistical alarm comes before those 140 days are over: `driftwatch baseline` collects"

    assert warning not in driftwatch("plan").words
    place.write("driftwatch.yaml", CONFIG + "    interval: 7d\n")
    assert warning in driftwatch("plan").words


def test_the_plot_is_an_svg_of_both_settings(place, driftwatch):
    (place.root / "out").mkdir()
    done = driftwatch("plan", "--budget", "$1/month", "--plot", "out/plan.svg")

    assert done.out.endswith("\nWrote out/plan.svg.\n")
    root = ET.fromstring((place.root / "out" / "plan.svg").read_text())  # noqa: S314 - our own
    said = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert any(words.startswith("now: every 1h") for words in said)
    assert any(words.startswith("proposed: every ") for words in said)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "amount", ["0", "-5", "nan", "inf", "5 euros", "", "$", "5/fortnight", "1e3", "$0.00/month", "9999999999999"]
)
def test_a_budget_that_is_no_amount_is_refused_in_one_sentence(place, driftwatch, amount):
    done = driftwatch("plan", f"--budget={amount}")

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"driftwatch: --budget {amount!r} is not an amount ")
    assert done.err.endswith("; write dollars per month, such as --budget '$5/month'\n")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("time", ["0", "0h", "-1h", "nan", "6", "six hours", "", "400d"])
def test_a_delay_that_is_no_time_is_refused_in_one_sentence(place, driftwatch, time):
    done = driftwatch("plan", f"--delay={time}")

    assert (done.code, done.out) == (2, "")
    assert done.err == f"driftwatch: --delay {time!r} is not a time between zero and a year; write 30m, 6h or 2d\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobody"], "unknown target 'nobody'; there are: support"),
        (["suport"], "unknown target 'suport'; did you mean 'support'?"),
        (["--budget", "5", "--delay", "6h"], "--budget and --delay are two wishes; give one of them"),
        (["--change", "large"], "--change says what --budget or --delay is to find; give one of them too"),
        (["--budget", "5", "--change", "huge"], "'huge' is not one of 'small', 'medium', 'large', 'swap'"),
        (["--format", "xml"], "'xml' is not one of 'text', 'json'"),
    ],
    ids=" ".join,
)
def test_a_wish_that_cannot_be_read_is_refused_in_one_sentence(place, driftwatch, arguments, said):
    done = driftwatch("plan", *arguments)

    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("option", [["--budget", "5"], ["--delay", "6h"], ["--plot", "plan.svg"]], ids=" ".join)
def test_a_wish_is_for_one_target(place, driftwatch, option):
    place.write("driftwatch.yaml", CONFIG + "  other: {provider: openai, model: gpt-4o}\n")

    done = driftwatch("plan", *option)

    assert done.code == 2
    assert done.err == f"driftwatch: {option[0]} plans one target at a time; name one of: support, other\n"


def test_a_budget_without_a_price_says_where_to_write_one(priceless, driftwatch):
    done = driftwatch("plan", "--budget", "5")

    assert done.code == 2
    assert done.err == (
        "driftwatch: driftwatch.yaml: targets.support.price: the price of house-model-1 is not known, so no budget can "
        "be planned for; write price: {input: …, output: …}, in US dollars per million tokens\n"
    )


def test_a_price_in_the_config_is_used(priceless, driftwatch):
    priceless.write("driftwatch.yaml", (priceless.config).read_text() + "    price: {input: 1.0, output: 2.0}\n")

    assert "At $1 in and $2 out per million tokens (config)" in driftwatch("plan").words


def test_a_target_without_canaries_has_nothing_to_plan(place, driftwatch):
    (place.root / "suite.yaml").unlink()
    (place.root / "empty").mkdir()
    place.edit("driftwatch.yaml", "[suite.yaml]", "[empty]")

    done = driftwatch("plan")

    assert (done.code, done.out) == (2, "")
    assert "empty" in done.err or "no canaries" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("    interval: 1s\n", "shorter than a minute; write at least 60s"),
        ("    interval: 10000d\n", "write at most 366d"),
        ("baseline: {calibration_runs: 19}\n", "20"),
    ],
    ids=["a second", "too long", "K of 19"],
)
def test_a_setting_that_the_config_refuses_is_refused_here_too(place, driftwatch, line, said):
    place.write("driftwatch.yaml", CONFIG + line)

    done = driftwatch("plan")

    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("plan.png", "--plot plan.png: the drawing is an SVG; write a name that ends in .svg"),
        ("plan", "--plot plan: the drawing is an SVG; write a name that ends in .svg"),
        ("no/plan.svg", "--plot no/plan.svg: no is no folder; make it, or name another file"),
        ("suite.yaml/plan.svg", "--plot suite.yaml/plan.svg: suite.yaml is no folder; make it, or name another file"),
    ],
)
def test_a_plot_without_a_place_is_refused_in_one_sentence(place, driftwatch, file, said):
    done = driftwatch("plan", "--plot", file)

    assert (done.code, done.out, done.err) == (2, "", f"driftwatch: {said}\n")


@pytest.mark.parametrize("output", ["text", "json"])
def test_a_plot_that_cannot_be_written_costs_no_answer(place, driftwatch, output):
    (place.root / "plan.svg").mkdir()

    done = driftwatch("plan", "--plot", "plan.svg", "--format", output)

    assert done.code == 2
    assert "medium" in done.out
    assert done.err == "driftwatch: cannot write plan.svg: Is a directory; name another file with --plot\n"
    assert "Wrote" not in done.out
