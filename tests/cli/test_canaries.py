"""``driftwatch canaries``: list, lock, verify."""

from __future__ import annotations


def test_every_canary_is_listed_with_its_reason(stable, driftwatch):
    done = driftwatch("canaries", "list")

    assert (done.code, done.err) == (0, "")
    heading, first, second = done.out.splitlines()
    assert heading.split() == ["canary", "hash", "checks", "reason"]
    assert (first.split()[0], first.split()[2:]) == ("support/capital", ["1", "a", "fact"])
    assert second.split()[0] == "support/triage"


def test_what_was_locked_is_verified(stable, driftwatch):
    locked = driftwatch("canaries", "lock")

    assert (locked.code, locked.out) == (0, "Wrote canaries.lock.\n")
    assert driftwatch("canaries", "verify").out == "canaries.lock: ok\n"


def test_an_edit_after_the_lock_is_told(stable, driftwatch):
    driftwatch("canaries", "lock")
    stable.edit("suite.yaml", "Answer with JSON.", "Reply with JSON.")

    done = driftwatch("canaries", "verify")

    assert done.code == 2
    assert done.err == (
        "driftwatch: canaries.lock: canary support/triage was edited; "
        "if that is meant, run `driftwatch canaries lock`\n"
    )
