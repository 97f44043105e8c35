"""Where the secrets of receivers are, and what else of a section a notifier gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftwatch.config import MissingSecret, load, missing_secrets, options_of, secrets_of
from driftwatch.config.receiver_rules import is_address
from driftwatch.errors import ConfigError

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


# ---------------------------------------------------------------- who may use the buttons in Slack

SLACK = """
targets: {{support: {{provider: openai, model: gpt-4o-mini}}}}
receivers:
  oncall:
    type: slack
    bot_token_env: BOT
    channel: C0123456789
    {token}
    allowed_users: {users}
"""


def slack(tmp_path: Path, users: str, token: str = "app_token_env: APP"):  # noqa: S107 - the name of a variable
    (tmp_path / "driftwatch.yaml").write_text(SLACK.format(users=users, token=token))
    return load(tmp_path / "driftwatch.yaml", {}).receivers["oncall"]


def test_members_of_slack_are_allowed_by_their_ids(tmp_path):
    assert options_of(slack(tmp_path, "[U0123ABC456, W012A3CDE]"))["allowed_users"] == ("U0123ABC456", "W012A3CDE")


LIKE = "write the member ID from the profile's menu, e.g. U0123ABC456"


@pytest.mark.parametrize(
    ("users", "told"),
    [
        ('["@ana"]', f"[0]: a name, which people can change, not a member ID of Slack; {LIKE}"),
        ("[U0123ABC456, ana]", f"[1]: not a member ID of Slack; {LIKE}"),
        ("[UWE]", f"[0]: not a member ID of Slack; {LIKE}"),
        ("[ursula-12345]", f"[0]: not a member ID of Slack; {LIKE}"),
        ("[C0123456789]", f"[0]: not a member ID of Slack; {LIKE}"),
        ('["<@U0123ABC456>"]', "[0]: not a member ID of Slack; did you mean 'U0123ABC456'?"),
        ('["<@U0123ABC456|ana>"]', "[0]: not a member ID of Slack; did you mean 'U0123ABC456'?"),
        ("[u0123abc456]", "[0]: not a member ID of Slack; did you mean 'U0123ABC456'?"),
        ("[S0123ABC456]", "[0]: a user group, not a member ID of Slack; write the ID of each of its members"),
        ("U0123ABC456", ": must be a list; write allowed_users: [U0123ABC456]"),
        ("[U0123ABC456, U0123ABC456]", ": names the same person twice; keep one of the two"),
        (
            "[]",
            ": allows nobody; write who may act, e.g. [U0123ABC456], or remove it to let all who see the buttons act",
        ),
        ("", ": has no value; give it one or remove it"),
    ],
)
def test_who_is_no_member_is_told_in_one_sentence(tmp_path, users, told):
    with pytest.raises(ConfigError) as raised:
        slack(tmp_path, users)
    assert str(raised.value).endswith(f":9: receivers.oncall.allowed_users{told}")


def test_a_list_for_buttons_that_are_not_there_is_told(tmp_path):
    with pytest.raises(ConfigError) as raised:
        slack(tmp_path, "[U0123ABC456]", token="")
    assert str(raised.value).endswith(
        "receivers.oncall.allowed_users: says who may use the buttons, and without an app token there are none; "
        "write app_token_env: SLACK_APP_TOKEN, or remove it"
    )
    assert slack(tmp_path, "[U0123ABC456]", token="app_token_file: app")  # noqa: S106 - the name of a file


def test_the_schema_for_editors_knows_the_same_members():
    schema = (Path(__file__).parents[2] / "config" / "driftwatch.schema.json").read_text()
    assert "^[UW][A-Z0-9]{7,19}$" in schema


# ---------------------------------------------------------------- headers of a webhook


@pytest.mark.parametrize(
    "header", ["Transfer-Encoding", "Accept-Encoding", "connection", "Expect", "webhook-signature"]
)
def test_a_header_that_says_how_the_message_travels_is_not_the_operators(tmp_path, header):
    text = f"receivers: {{desk: {{type: webhook, url_env: URL, headers: {{{header}: VALUE}}}}}}\n"
    (tmp_path / "driftwatch.yaml").write_text("targets: {s: {provider: openai, model: gpt-4o-mini}}\n" + text)
    with pytest.raises(ConfigError) as raised:
        load(tmp_path / "driftwatch.yaml", {})
    assert f"receivers.desk.headers.{header}: driftwatch fills this header itself; remove it" in str(raised.value)
