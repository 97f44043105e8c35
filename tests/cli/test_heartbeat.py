"""What `validate` and `doctor` say of a heartbeat, whose URL is a secret."""

from __future__ import annotations

BEAT = "heartbeat: {url_env: BEAT_URL, interval: 5m}\nstore: "


def test_validate_says_when_its_url_is_not_set_here(stable, driftwatch, monkeypatch):
    stable.edit("driftwatch.yaml", "store: ", BEAT)
    done = driftwatch("validate")
    assert done.code == 0, "where the config is checked the secret need not be"
    assert "heartbeat: GET every 5m; here environment variable BEAT_URL is not set" in done.words
    monkeypatch.setenv("BEAT_URL", "https://beat.example.org/5ecre7")
    done = driftwatch("validate")
    assert "heartbeat: GET every 5m\n" in done.out
    assert "5ecre7" not in done.out + done.err


def test_doctor_calls_a_missing_url_wrong(stable, driftwatch, monkeypatch):
    stable.edit("driftwatch.yaml", "store: ", BEAT)
    done = driftwatch("doctor")
    assert done.code == 2
    assert "environment variable BEAT_URL is not set" in done.words
    monkeypatch.setenv("BEAT_URL", "https://beat.example.org/5ecre7")
    done = driftwatch("doctor")
    assert done.code == 0
    assert "heartbeat" in done.words
    assert "5ecre7" not in done.out + done.err


def test_without_a_heartbeat_nothing_is_said_of_it(stable, driftwatch):
    assert "heartbeat" not in driftwatch("validate").words + driftwatch("doctor").words
