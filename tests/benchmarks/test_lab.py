"""A real model changed under an unchanged name: what was recorded is found, what did not change stays quiet."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter
from gguf.quants import dequantize, quantize

from benchmarks.detection import lab
from benchmarks.lab import recordings, variants
from benchmarks.lab.endpoints import Readings, TooFew, completion, halves
from benchmarks.lab.intervals import roc_area, roc_interval
from benchmarks.lab.methods import ask, comparison, methods, spread_over, suite, tokens
from benchmarks.lab.proxy import Trouble, in_between
from benchmarks.lab.series import CALIBRATION, SUITES, Watch, alarm_after
from benchmarks.peers import border_inputs, logprob_tracking
from driftwatch.score import score
from driftwatch.score.explain.effects import clopper_pearson

FIXTURES = Path(__file__).parents[1] / "data" / "lab"
TEXTS, SAMPLED, BORDER, LOGPROBS, WORDS = SUITES
WEIGHTS = ("noise_1", "noise_2", "noise_5", "q5_0", "q4_1", "q4_0", "lora", "bits_3")
SAME = ("restart", "resaved", "slow", "bursts_429", "errors_5")


@pytest.fixture(scope="session")
def recorded():
    return recordings.load(FIXTURES)


@pytest.fixture(scope="session")
def endpoints(recorded):
    return lab.endpoints_of(recorded)


@pytest.fixture(scope="session")
def readings():
    return Readings()


@pytest.fixture(scope="session")
def watches(endpoints, readings):
    """Suite name → a watch over the original, and its calibration."""
    found = {}
    for one in SUITES:
        watch = Watch.over(one, endpoints["original"], readings, 1)
        found[one.name] = watch, watch.runs(watch.pool, CALIBRATION, np.random.default_rng(1), reuse=True)
    return found


def alarm(watches, one, endpoint, n):
    watch, calibration = watches[one.name]
    return alarm_after(calibration, watch.runs(endpoint, n, np.random.default_rng(2), reuse=False), seed=1)


# ---------------------------------------------------------------- what stays the same


def test_greedy_replies_after_a_restart_are_the_same_to_the_last_character(recorded):
    before = {row.prompt_id: row.output for row in recorded["original"] if row.task == "greedy"}
    for name in ("restart", "resaved", "slow"):
        after = {row.prompt_id: row.output for row in recorded[name] if row.task == "greedy"}
        assert before == after, name
    assert len(before) == 20


@pytest.mark.parametrize("name", ["restart", "resaved"])
def test_the_same_weights_have_prefix_and_logprob_exactly_0(watches, endpoints, name):
    for one, channel in ((TEXTS, "prefix"), (BORDER, "label"), (LOGPROBS, "logprob")):
        watch, _ = watches[one.name]
        scores = watch.runs(endpoints[name], 3, np.random.default_rng(0), reuse=False)
        assert set(scores[channel]) == {0.0}


@pytest.mark.parametrize("name", SAME)
def test_controls_raise_no_alarm(watches, endpoints, name):
    assert alarm(watches, TEXTS, endpoints[name], 200) is None
    if ("probe", "bare") in endpoints[name].prompts:
        assert alarm(watches, LOGPROBS, endpoints[name], 200) is None
    if name == "restart":
        for one in (SAMPLED, WORDS):
            n = min(endpoints[name].n(*key) for key in watches[one.name][0].keys) // one.repeats
            assert alarm(watches, one, endpoints[name], n) is None


def test_replies_that_fail_are_recorded_as_failures_and_never_scored(recorded):
    outcomes = [row.outcome for row in recorded["bursts_429"]]
    assert outcomes.count("rate_limited") == 6
    assert "unavailable" in [row.outcome for row in recorded["errors_5"]]
    failed = next(row for row in recorded["bursts_429"] if row.outcome == "rate_limited")
    assert not completion(failed).is_ok


def test_an_endpoint_that_wavers_between_two_kernels_raises_no_alarm_in_300_runs(endpoints, readings):
    two = lab.two_kernels(endpoints)["original"]
    for one in (TEXTS, LOGPROBS):
        watch = Watch.over(one, two, readings, 3)
        calibration = watch.runs(watch.pool, CALIBRATION, np.random.default_rng(3), reuse=True)
        assert np.ptp(calibration["prefix" if one is TEXTS else "logprob"]) > 0, "it does waver"
        later = watch.runs(watch.pool, 300, np.random.default_rng(4), reuse=True)
        assert alarm_after(calibration, later, seed=3) is None


def test_two_halves_of_the_same_replies_are_not_told_apart(endpoints, readings):
    ps = []
    for seed in range(10):
        left, right = halves(endpoints["original"], seed)
        asked = spread_over("sampled", least=1)(left, 6_000, np.random.default_rng(seed))
        sides = ask(asked, left, right, np.random.default_rng(seed))
        ps.append(comparison(with_logprobs=False)(sides, readings, seed))
    assert sum(p <= 0.05 for p in ps) <= 2  # 3 or more of 10 at 5 % each has a chance of 1.2 %
    assert len(set(ps)) > 1


# ---------------------------------------------------------------- what changed


@pytest.mark.parametrize("name", WEIGHTS)
def test_every_change_of_weights_is_found_within_five_runs(watches, endpoints, name):
    found = {one.name: alarm(watches, one, endpoints[name], 20) for one in (TEXTS, LOGPROBS)}
    assert all(runs is not None and runs <= 5 for runs in found.values()), found


@pytest.mark.parametrize("name", WEIGHTS)
def test_every_change_of_weights_is_found_by_prefix_and_by_logprob_at_1500_tokens(endpoints, readings, name):
    by_name = {method.name: method for method in methods(None)}
    for chosen in ("prefix", "logprob"):
        rng = np.random.default_rng(5)
        asked = by_name[chosen].plan(endpoints["original"], 1_500, rng)
        sides = ask(asked, endpoints["original"], endpoints[name], rng)
        assert tokens(sides) <= 1_600
        assert by_name[chosen].decide(sides, readings, 1) <= 0.05


@pytest.mark.parametrize("name", ["hidden_prompt", "warmer", "cut"])
def test_changes_of_behaviour_are_found_by_compare_at_6000_tokens(endpoints, readings, name):
    rng = np.random.default_rng(6)
    asked = suite(endpoints["original"], 6_000, rng)
    sides = ask(asked, endpoints["original"], endpoints[name], rng)
    assert comparison(with_logprobs=False)(sides, readings, 1) <= 0.05


@pytest.mark.parametrize("share", lab.ROUTED)
def test_answers_routed_elsewhere_are_found_by_their_share(watches, endpoints, share):
    routed = endpoints["original"].mixed(endpoints["bits_3"], share, name="routed")
    runs = alarm(watches, TEXTS, routed, 150)
    assert runs is not None
    assert runs <= {0.16: 6, 0.05: 20, 0.01: 120}[share]


# ---------------------------------------------------------------- the tools


def test_a_watch_scores_a_run_as_driftwatch_does(watches, endpoints):
    watch, _ = watches[TEXTS.name]
    rng = np.random.default_rng(7)
    of_run = {key: endpoints["noise_5"].draw(*key, 1, rng) for key in watch.keys}
    said = {one.channel: one.value for one in score(watch.reference, [completion(r) for (r,) in of_run.values()])}
    mine = watch.score(of_run)
    assert mine
    assert mine == {name: said[name] for name in mine}


def test_no_recorded_completion_is_used_twice(endpoints):
    n = endpoints["original"].n("sampled", "text-00")
    drawn = endpoints["original"].draw("sampled", "text-00", n, np.random.default_rng(0))
    assert len({id(row) for row in drawn}) == n
    with pytest.raises(TooFew, match=f"{n + 1} are wanted"):
        endpoints["original"].draw("sampled", "text-00", n + 1, np.random.default_rng(0))
    left, right = halves(endpoints["original"], 0)
    sides = [
        {id(row) for row in side.draw("sampled", "text-00", n // 2, np.random.default_rng(0))} for side in (left, right)
    ]
    assert not sides[0] & sides[1]


def test_a_share_of_the_requests_goes_elsewhere(endpoints):
    routed = endpoints["original"].mixed(endpoints["bits_3"], 0.16, name="routed")
    drawn = routed.draw("greedy", "text-00", 2_000, np.random.default_rng(0))
    elsewhere = sum(row.variant == "bits_3" for row in drawn) / 2_000
    assert elsewhere == pytest.approx(0.16, abs=0.03)


def test_a_budget_is_kept(endpoints):
    for method in methods(None):
        for budget in lab.BUDGETS:
            rng = np.random.default_rng(8)
            asked = method.plan(endpoints["original"], budget, rng)
            sides = ask(asked, endpoints["original"], endpoints["original"], rng)
            assert tokens(sides) <= 1.1 * budget, (method.name, budget)
    assert {task for task, _ in suite(endpoints["original"], 6_000, np.random.default_rng(0))} == {
        "greedy",
        "probe",
        "sampled",
    }


def test_recordings_survive_writing_and_reading(tmp_path, recorded):
    rows = recorded["noise_1"]
    assert recordings.write(tmp_path / "one.jsonl.gz", rows, model="m") == len(rows)
    recordings.write(tmp_path / "two.jsonl.gz", rows, model="m")
    assert recordings.read(tmp_path / "one.jsonl.gz") == rows
    assert (tmp_path / "one.jsonl.gz").read_bytes() == (tmp_path / "two.jsonl.gz").read_bytes()
    with pytest.raises(FileNotFoundError, match=r"benchmarks\.lab\.record"):
        recordings.load(tmp_path / "nowhere")


def test_the_fixtures_are_small_and_of_one_open_licence(recorded):
    assert sum(path.stat().st_size for path in FIXTURES.iterdir()) < 3_000_000
    assert "Apache-2.0" in (FIXTURES / "README.md").read_text()
    assert "other_model" not in recorded


def test_the_benchmark_prints_its_tables(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["lab", "--quick"])
    lab.main()
    page = capsys.readouterr().out
    assert "| weight noise 1 % |" in page
    assert "ROC area" in page
    assert "| restart, other seeds | quiet | quiet |" in page


def test_the_roc_area_counts_ties_half():
    assert roc_area([0.01, 0.01], [0.5, 1.0]) == 1.0
    assert roc_area([0.5], [0.5]) == 0.5
    assert roc_area([1.0], [0.01]) == 0.0
    low, high = roc_interval([0.01] * 5 + [0.6] * 5, [0.5] * 10)
    assert low < 0.5 < high


def test_the_interval_of_a_share_is_clopper_and_pearsons():
    assert clopper_pearson(0, 10) == pytest.approx((0.0, 1 - 0.025**0.1))
    assert clopper_pearson(10, 10) == pytest.approx((0.025**0.1, 1.0))


# ---------------------------------------------------------------- peers


def test_the_border_rule_is_the_mean_total_variation():
    reference = {"x": ["a", "a", "b", "b"], "y": ["c", "c"]}
    today = {"x": ["a", "a", "a", "d"], "y": ["c", "c"]}
    assert border_inputs.mean_total_variation(reference, today) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="same inputs"):
        border_inputs.p_value(reference, {"x": ["a"]}, permutations=9, seed=0)


def test_logprob_tracking_takes_an_unlisted_token_at_the_smallest_that_is_listed():
    before, after = [{"a": -0.5, "b": -2.0}], [{"a": -0.5, "c": -3.0}]
    # a: 0, b: |−2 − −3|, c: |−2 − −3|
    assert logprob_tracking.mean_shift(before, after) == pytest.approx(2 / 3)


def test_the_peers_keep_their_level():
    rng = np.random.default_rng(9)
    border, tracking = [], []
    for seed in range(200):
        sides = [{f"{i}": [str(x) for x in rng.integers(0, 2, 6)] for i in range(5)} for _ in range(2)]
        border.append(border_inputs.p_value(*sides, permutations=99, seed=seed))
        rows = [[{"a": float(x), "b": float(y)} for x, y in rng.normal(-2, 0.1, (8, 2))] for _ in range(2)]
        tracking.append(logprob_tracking.p_value(*rows, permutations=99, seed=seed))
    for ps in (border, tracking):
        assert sum(p <= 0.05 for p in ps) <= 20  # 10 are expected; more than 20 has a chance of .2 %
        assert sum(p <= 0.5 for p in ps) >= 55  # not so few that it could find nothing


# ---------------------------------------------------------------- variants of weights


@pytest.fixture
def tiny(tmp_path):
    """A file with one block matrix, an embedding and a norm."""
    path = tmp_path / "tiny.gguf"
    rng = np.random.default_rng(0)
    writer = GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_token_list(["a", "b"])
    for name in ("token_embd.weight", "blk.0.attn_q.weight"):
        matrix = quantize(rng.standard_normal((8, 64)).astype(np.float32), GGMLQuantizationType.Q8_0)
        writer.add_tensor(name, matrix, raw_dtype=GGMLQuantizationType.Q8_0)
    writer.add_tensor("blk.0.attn_norm.weight", np.ones(8, np.float32))
    variants._finish(writer)
    return path


def weights(path):
    return {t.name: dequantize(t.data, t.tensor_type) for t in GGUFReader(path, "r").tensors}


def test_noise_changes_the_blocks_matrices_only_and_by_the_asked_amount(tiny, tmp_path):
    assert variants.add_noise(tiny, tmp_path / "n.gguf", noise=0.1, seed=1) == 1
    before, after = weights(tiny), weights(tmp_path / "n.gguf")
    change = after["blk.0.attn_q.weight"] - before["blk.0.attn_q.weight"]
    assert change.std() == pytest.approx(0.1 * before["blk.0.attn_q.weight"].std(), rel=0.15)
    for name in ("token_embd.weight", "blk.0.attn_norm.weight"):
        assert np.array_equal(before[name], after[name])
    variants.add_noise(tiny, tmp_path / "again.gguf", noise=0.1, seed=1)
    assert (tmp_path / "n.gguf").read_bytes() == (tmp_path / "again.gguf").read_bytes()


def test_saving_again_and_requantising_keep_fields_and_nearly_the_weights(tiny, tmp_path):
    assert variants.resave(tiny, tmp_path / "r.gguf") == 0
    assert all(np.array_equal(a, weights(tmp_path / "r.gguf")[name]) for name, a in weights(tiny).items())
    assert variants.requantise(tiny, tmp_path / "q.gguf", to=GGMLQuantizationType.Q4_0) == 1
    reader = GGUFReader(tmp_path / "q.gguf", "r")
    types = {t.name: t.tensor_type for t in reader.tensors}
    assert types["blk.0.attn_q.weight"] is GGMLQuantizationType.Q4_0
    assert types["token_embd.weight"] is GGMLQuantizationType.Q8_0
    assert reader.fields["general.name"].contents() == "tiny"
    assert list(reader.fields["tokenizer.ggml.tokens"].contents()) == ["a", "b"]


def test_three_bits_leave_eight_levels_in_a_block(tiny, tmp_path):
    variants.round_bits(tiny, tmp_path / "b.gguf", bits=3)
    block = weights(tmp_path / "b.gguf")["blk.0.attn_q.weight"].reshape(-1, 32)[0]
    step = np.ptp(block) / 7
    assert np.allclose((block - block.min()) / step, np.round((block - block.min()) / step), atol=0.1)


def test_an_adapter_has_two_factors_per_matrix(tiny, tmp_path):
    assert variants.write_lora(tiny, tmp_path / "l.gguf", rank=4, strength=0.1, seed=1) == 1
    reader = GGUFReader(tmp_path / "l.gguf", "r")
    factors = {t.name: np.asarray(t.data) for t in reader.tensors}
    update = factors["blk.0.attn_q.weight.lora_b"] @ factors["blk.0.attn_q.weight.lora_a"]
    original = weights(tiny)["blk.0.attn_q.weight"]
    assert update.shape == original.shape
    assert update.std() == pytest.approx(0.1 * original.std(), rel=0.6)
    assert reader.fields["adapter.type"].contents() == "lora"


# ---------------------------------------------------------------- trouble on the way


@pytest.fixture
def upstream():
    class Echo(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


def statuses(base_url, n):
    found = []
    for i in range(n):
        request = urllib.request.Request(f"{base_url}/x", json.dumps({"i": i}).encode())  # noqa: S310 - to this machine
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310 - as above
                assert json.loads(reply.read()) == {"i": i}
                found.append(reply.status)
        except urllib.error.HTTPError as error:
            found.append(error.code)
            error.close()
    return found


def test_the_proxy_refuses_in_bursts_and_breaks_a_share(upstream):
    with in_between(upstream, Trouble(burst_every=5, burst_length=2)) as base_url:
        assert statuses(base_url, 10) == [200, 200, 200, 429, 429] * 2
    with in_between(upstream, Trouble(error_share=0.3, seed=1)) as base_url:
        first = statuses(base_url, 40)
    with in_between(upstream, Trouble(error_share=0.3, seed=1)) as base_url:
        assert statuses(base_url, 40) == first
    assert 4 <= first.count(500) <= 22
