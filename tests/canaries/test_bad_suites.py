from __future__ import annotations

from pathlib import Path

import pytest

from driftwatch.canaries import load_suites, parse_suite
from driftwatch.errors import ConfigError

BAD_SUITES = Path(__file__).parents[1] / "data" / "bad_suites"
# One line per bad file, as a person reads it.
SENTENCES = (BAD_SUITES / "sentences.txt").read_text(encoding="utf-8").splitlines()


def refusal_of(*paths: Path) -> str:
    with pytest.raises(ConfigError) as refused:
        load_suites(paths)
    return str(refused.value)


@pytest.mark.parametrize("sentence", SENTENCES, ids=lambda sentence: sentence.partition(".yaml")[0])
def test_a_bad_suite_is_refused_in_one_sentence(sentence):
    file = BAD_SUITES / sentence.partition(":")[0]
    assert f"{BAD_SUITES}/{sentence}" == refusal_of(file)


def test_every_bad_suite_has_its_sentence():
    files = {file.name for file in BAD_SUITES.glob("*.yaml")}
    assert files == {sentence.partition(":")[0] for sentence in SENTENCES}
    assert len(files) > 90


def test_a_refusal_carries_its_parts():
    with pytest.raises(ConfigError) as refused:
        load_suites([BAD_SUITES / "unknown_key.yaml"])
    error = refused.value
    assert error.file == str(BAD_SUITES / "unknown_key.yaml")
    assert error.line == 5
    assert error.key == "canaries[0].promt"
    assert error.problem == "unknown key 'promt'"
    assert error.instead == "did you mean 'prompt'?"


def test_a_missing_path_is_named(tmp_path):
    missing = tmp_path / "nowhere"
    expected = f"{missing}: no such file or directory; name a suite file or its directory"
    assert expected == refusal_of(missing)


def test_a_directory_without_suites_is_refused(tmp_path):
    (tmp_path / ".hidden.yaml").write_text("suite: hidden")
    (tmp_path / "notes.txt").write_text("no suite")
    assert f"{tmp_path}: no suite in this directory; add a .yaml file" == refusal_of(tmp_path)


def test_two_suites_of_one_name_are_refused_with_both_files(tmp_path):
    text = "suite: core\ncanaries: [{id: one, reason: Because., prompt: Hello?}]\n"
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(text)
    second.write_text(text)
    expected = f"{second}:1: suite: suite 'core' is already defined in {first}; give one of them another name"
    assert expected == refusal_of(tmp_path)


def test_an_oversize_file_is_not_parsed(tmp_path):
    file = tmp_path / "big.yaml"
    file.write_bytes(b"#" * 1_000_001)
    assert f"{file}: larger than 1,000,000 bytes; split the suite" == refusal_of(file)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "folder.yaml").mkdir()
    assert f"{tmp_path / 'folder.yaml'}: cannot be read: Is a directory; name a readable file" == refusal_of(tmp_path)


def test_an_alias_bomb_is_refused():
    layers = ["suite: bomb", "a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    layers += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(ConfigError, match=r"bomb\.yaml: more than 100000 values, aliases included"):
        parse_suite("\n".join(layers), "bomb.yaml")


def test_endless_nesting_is_refused():
    with pytest.raises(ConfigError, match=r"deep\.yaml: nested too deeply"):
        parse_suite("suite: " + "[" * 700 + "]" * 700, "deep.yaml")


def test_a_misspelt_key_is_told_before_the_one_it_leaves_missing():
    text = "suite: core\ncanaries: [{id: one, reasn: Because., prompt: Hello?}]\n"
    with pytest.raises(ConfigError, match=r"unknown key 'reasn'; did you mean 'reason'\?"):
        parse_suite(text, "core.yaml")
