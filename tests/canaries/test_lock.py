from __future__ import annotations

import json

import pytest

from driftwatch.canaries import load_suites, verify_lock, write_lock
from driftwatch.errors import ConfigError

SUITE = """suite: {name}
canaries:
  - {{id: one, reason: Because., prompt: One?}}
  - {{id: two, reason: Because., prompt: Two?}}
"""


@pytest.fixture
def suites(tmp_path):
    """A directory of two suites, written anew by name → (file, text)."""
    folder = tmp_path / "canaries"
    folder.mkdir()
    for name in ("core", "tools"):
        (folder / f"{name}.yaml").write_text(SUITE.format(name=name))
    return folder


@pytest.fixture
def lock(suites):
    path = suites / "canaries.lock"
    write_lock(load_suites([suites]), path)
    return path


def differences(suites, lock):
    return verify_lock(load_suites([suites]), lock)


def edit(file, before, after):
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def test_a_fresh_lock_has_no_differences(suites, lock):
    assert differences(suites, lock) == []


def test_the_lock_holds_file_names_and_hashes_and_no_folder(suites, lock):
    content = json.loads(lock.read_text())
    assert content["version"] == 1
    core = content["suites"]["core"]
    assert core["file"] == "core.yaml"
    canary = load_suites([suites])["core"].canaries[0]
    assert core["canaries"]["one"] == canary.content_hash
    assert str(suites) not in lock.read_text()


def test_writing_twice_changes_nothing(suites, lock):
    before = lock.read_bytes()
    write_lock(load_suites([suites / "tools.yaml", suites / "core.yaml"]), lock)
    assert lock.read_bytes() == before


def test_an_edited_canary_is_named(suites, lock):
    edit(suites / "core.yaml", "One?", "One or two?")
    assert differences(suites, lock) == ["canary core/one was edited"]


def test_a_reworded_reason_is_no_difference(suites, lock):
    edit(suites / "core.yaml", "Because.", "For a better reason.")
    assert differences(suites, lock) == []


def test_a_renamed_canary_is_one_removed_and_one_added(suites, lock):
    edit(suites / "core.yaml", "id: one", "id: uno")
    assert differences(suites, lock) == ["canary core/one was removed", "canary core/uno was added"]


def test_a_suite_that_went_and_one_that_came_are_named(suites, lock):
    edit(suites / "tools.yaml", "suite: tools", "suite: json")
    assert differences(suites, lock) == ["suite json was added", "suite tools was removed"]


def test_a_moved_suite_is_named(suites, lock):
    (suites / "core.yaml").rename(suites / "facts.yaml")
    assert differences(suites, lock) == ["suite core moved from core.yaml to facts.yaml"]


def test_a_missing_lock_is_an_error(suites):
    with pytest.raises(
        ConfigError, match=r"canaries\.lock: no lock file; write it anew with `driftwatch canaries lock`"
    ):
        differences(suites, suites / "canaries.lock")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "not a lock file: not JSON; write it anew with `driftwatch canaries lock`"),
        ("[]", "not a lock file: suites, files or hashes are missing; write it anew with `driftwatch canaries lock`"),
        ('{"version": 1, "suites": []}', "not a lock file: suites, files or hashes are missing"),
        ('{"version": 1, "suites": {"core": {"file": "a"}}}', "not a lock file: suites, files or hashes are missing"),
        (
            '{"version": 1, "suites": {"core": {"file": "a", "canaries": {"one": 1}}}}',
            "not a lock file: suites, files or hashes are missing",
        ),
        ('{"version": 2}', "the lock file is from a newer driftwatch; upgrade driftwatch"),
        ("\x00\xff", "not a lock file: not JSON"),
    ],
)
def test_what_is_no_lock_is_an_error(suites, content, sentence):
    path = suites / "broken.lock"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError) as refused:
        differences(suites, path)
    assert sentence in str(refused.value)


def test_a_lock_that_cannot_be_read_is_an_error(suites):
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        differences(suites, suites)
