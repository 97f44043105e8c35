"""Where the secrets of receivers are, and what else of a section a notifier gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftwatch.config import MissingSecret, load, missing_secrets, options_of, secrets_of
from driftwatch.config.receiver_rules import is_address

CONFIG = """
targets: {support: {provider: openai, model: gpt-4o-mini}}
receivers:
  desk: {type: webhook, url_env: URL, signing_key_file: key, headers: {X-Token: TOKEN}, timeout: 3s}
  mail: {type: email, host: smtp.example.com, from: a@example.com, to: [b@example.com]}
"""


@pytest.fixture
def settings(tmp_path: Path):
    (tmp_path / "driftwatch.yaml").write_text(CONFIG)
    return load(tmp_path / "driftwatch.yaml", {})


def test_a_secret_has_the_place_that_the_section_names(settings, tmp_path):
    assert secrets_of(settings.receivers["desk"]) == {
        "url": ("URL", None),
        "signing_key": (None, tmp_path / "key"),
        "headers.X-Token": ("TOKEN", None),
    }
    assert secrets_of(settings.receivers["mail"]) == {}, "a place that is not named is none"


def test_options_are_everything_else_that_has_a_value(settings):
    assert options_of(settings.receivers["desk"]) == {"send_on_resolved": True, "headers": {"X-Token": "TOKEN"}}
    assert options_of(settings.receivers["mail"]) == {
        "send_on_resolved": True,
        "host": "smtp.example.com",
        "port": 587,
        "security": "starttls",
        "sender": "a@example.com",
        "to": ("b@example.com",),
    }


def test_every_place_of_a_receiver_that_is_empty_is_told_by_its_key(settings):
    found = missing_secrets(settings, {"URL": "https://example.com"})
    missing = [secret for secret in found if secret.about.startswith("receiver")]
    assert [(m.about, m.key) for m in missing] == [
        ("receiver desk", "receivers.desk.signing_key_file"),
        ("receiver desk", "receivers.desk.headers.X-Token"),
    ]
    assert missing[1] == MissingSecret(
        about="receiver desk",
        key="receivers.desk.headers.X-Token",
        sentence="environment variable TOKEN is not set; set it before driftwatch starts",
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("oncall@example.com", True),
        ("On Call <oncall@example.com>", True),
        ("oncall+pager@mail.example.com", True),
        ("root@localhost", True),
        ("oncall", False),
        ("@example.com", False),
        ("a b@example.com", False),
        ("a@example.com, b@example.com", False),
        ("a@example.com\nBcc: b@example.com", False),
        ("müller@example.com", False),
        ("a@exa_mple.com;", False),
    ],
)
def test_an_address_is_one_that_a_header_can_hold(text, expected):
    assert is_address(text) is expected
