"""``driftwatch alerts``: who can be told, and a test message through the real notifiers."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

CONFIG = """\
store: watch.db
targets: {{support: {{provider: openai, model: gpt-4o-mini, receivers: [terminal]}}}}
receivers:
  terminal: {{type: console}}
  pager: {{type: pagerduty, routing_key_env: PD_KEY, base_url: "{url}"}}
  am: {{type: alertmanager, base_url: "{url}"}}
  chat: {{type: discord, webhook_url_file: hook}}
  desk: {{type: webhook, url_env: DESK_URL, headers: {{X-Token: DESK_TOKEN}}}}
"""


class Vendors:
    """A server that thanks like all of them, or answers with ``status``."""

    def __init__(self):
        self.status = None
        self.received = []
        self.headers = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.headers.append(self.headers)
                outer.received.append((self.path, json.loads(body)))
                thanks = {"/v2/enqueue": (202, b'{"status": "success"}'), "/api/v2/alerts": (200, b"")}
                status, said = thanks.get(self.path, (200, b'{"id": "1"}'))
                self.send_response(outer.status or status)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=lambda: self.server.serve_forever(poll_interval=0.01))
        self.thread.start()


@pytest.fixture
def vendors(tmp_path, monkeypatch):
    there = Vendors()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "driftwatch.yaml").write_text(CONFIG.format(url=there.url))
    (tmp_path / "hook").write_text(f"{there.url}/api/webhooks/1/s3cret\n")
    monkeypatch.setenv("PD_KEY", "0123456789abcdef0123456789abcdef")
    yield there
    there.server.shutdown()
    there.thread.join()
    there.server.server_close()


# ---------------------------------------------------------------- list


def test_the_list_says_what_each_needs_and_whether_it_is_there(vendors, driftwatch):
    done = driftwatch("alerts")
    assert (done.code, done.err) == (0, "")
    rows = {line.split()[0]: line for line in done.out.splitlines() if line[:1].strip()}
    assert list(rows) == ["receiver", "terminal", "pager", "am", "chat", "desk"]
    assert rows["pager"].split()[:4] == ["pager", "pagerduty", "$PD_KEY", "yes"]
    assert rows["terminal"].split()[:4] == ["terminal", "console", "nothing", "yes"]
    assert "environment variable DESK_URL is not set" in done.words
    assert "environment variable DESK_TOKEN is not set" in done.words
    assert "s3cret" not in done.out
    assert driftwatch("alerts", "list").out == done.out


def test_the_list_as_json(vendors, driftwatch):
    rows = {row["receiver"]: row for row in driftwatch("alerts", "--format", "json").json}
    assert rows["pager"] == {
        "receiver": "pager",
        "type": "pagerduty",
        "needs": ["$PD_KEY"],
        "missing": [],
        "last_delivery": None,
        "waiting": 0,
        "trouble": None,
    }
    assert rows["chat"]["needs"] == ["hook"]
    assert len(rows["desk"]["missing"]) == 2


def test_the_list_of_a_watch_tells_the_last_delivery(drifted, driftwatch):
    [row] = driftwatch("alerts", "list", "--format", "json").json
    assert row["receiver"] == "terminal"
    assert row["last_delivery"].startswith("2026-03-")
    assert "never" not in driftwatch("alerts").out


def test_a_config_without_receivers_is_told_where_to_begin(tmp_path, monkeypatch, driftwatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "driftwatch.yaml").write_text("targets: {support: {provider: openai, model: gpt-4o-mini}}\n")
    assert "docs/receivers.md has an example of each" in driftwatch("alerts").out


# ---------------------------------------------------------------- test


def test_a_test_message_is_marked_as_one(vendors, driftwatch):
    done = driftwatch("alerts", "test", "terminal")
    assert done.code == 0
    assert "TEST, nothing is wrong" in done.out
    assert "This is a test of driftwatch's alerts, sent by ann." in done.out
    assert done.out.endswith("terminal (console): taken in 0.0 s.\n")


def test_a_test_in_pagerduty_is_ended_right_after_under_its_own_key(vendors, driftwatch):
    done = driftwatch("alerts", "test", "pager")
    assert (done.code, done.err) == (0, "")
    assert "pager (pagerduty): the test alert is ended again." in done.out
    first, second = (body for _, body in vendors.received)
    assert (first["event_action"], second["event_action"]) == ("trigger", "resolve")
    assert first["dedup_key"] == second["dedup_key"]
    assert first["dedup_key"].startswith("driftwatch-test-")
    assert first["payload"]["severity"] == "info"
    driftwatch("alerts", "test", "pager", "--event", "escalated")
    assert vendors.received[2][1]["dedup_key"] != first["dedup_key"]


def test_a_test_in_alertmanager_is_ended_too(vendors, driftwatch):
    assert driftwatch("alerts", "test", "am").code == 0
    (begun,), (ended,) = (body for _, body in vendors.received)
    assert begun["labels"] == ended["labels"]
    assert ended["endsAt"] < begun["endsAt"]


def test_an_end_can_be_tested_alone(vendors, driftwatch):
    assert driftwatch("alerts", "test", "pager", "--event", "resolved").code == 0
    assert [body["event_action"] for _, body in vendors.received] == ["resolve"]
    assert driftwatch("alerts", "test", "chat", "--event", "reminded").code == 0


@pytest.mark.parametrize("event", ["opened", "escalated", "reopened", "reminded", "resolved"])
def test_every_event_that_people_are_told_of_can_be_tested(vendors, driftwatch, event):
    done = driftwatch("alerts", "test", "terminal", "--event", event)
    assert done.code == 0
    assert "TEST" in done.out


def test_an_event_that_a_receiver_has_no_use_for(vendors, driftwatch):
    done = driftwatch("alerts", "test", "pager", "--event", "commented")
    assert done.code == 2
    assert done.err == (
        "driftwatch: --event commented: no use to a receiver of type pagerduty; "
        "write one of opened, escalated, reopened, acknowledged, resolved\n"
    )


def test_headers_of_a_webhook_carry_their_variables(vendors, driftwatch, monkeypatch):
    monkeypatch.setenv("DESK_URL", f"{vendors.url}/desk")
    monkeypatch.setenv("DESK_TOKEN", "t0ken")
    assert driftwatch("alerts", "test", "desk").code == 0
    ((path, body),) = vendors.received
    assert (path, body["type"]) == ("/desk", "incident.opened")
    assert vendors.headers[0]["X-Token"] == "t0ken"


def test_an_unknown_receiver(vendors, driftwatch):
    done = driftwatch("alerts", "test", "pagr")
    assert (done.code, done.err) == (2, "driftwatch: unknown receiver 'pagr'; did you mean 'pager'?\n")
    assert driftwatch("alerts", "test").code == 2
    assert driftwatch("alerts", "test", "pager", "--event", "opend").code == 2


def test_a_missing_secret(vendors, driftwatch, monkeypatch):
    monkeypatch.delenv("PD_KEY")
    done = driftwatch("alerts", "test", "pager")
    assert done.code == 2
    assert done.err == (
        "driftwatch: receiver 'pager': environment variable PD_KEY is not set; set it before driftwatch starts\n"
    )
    assert vendors.received == []


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (503, "has trouble on its side (status 503, success); `driftwatch serve` would try again"),
        (404, "refused the message (status 404): the webhook is gone: create a new one"),
    ],
)
def test_a_message_that_is_not_taken(vendors, driftwatch, status, said):
    vendors.status = status
    receiver = "chat" if status == 404 else "pager"
    done = driftwatch("alerts", "test", receiver)
    assert done.code == 3
    assert done.err.startswith(f"driftwatch: receiver '{receiver}' (")
    assert said.replace(", success", "") in done.err
    assert "trying again later" not in done.err
    assert "s3cret" not in done.err
    assert len(vendors.received) == 1, "sent once"


def test_naming_none_or_too_much_is_a_mistake_that_lists_what_there_is(vendors, driftwatch):
    none, both = driftwatch("alerts", "test"), driftwatch("alerts", "test", "am", "--all")
    there = "there are: terminal, pager, am, chat, desk\n"
    assert (none.code, none.err) == (2, f"driftwatch: name a receiver, or write --all; {there}")
    assert (both.code, both.err) == (2, f"driftwatch: name receivers or write --all, not both; {there}")
    assert vendors.received == []


def test_one_unknown_among_several_sends_nothing(vendors, driftwatch):
    done = driftwatch("alerts", "test", "am", "pagr")
    assert (done.code, done.err) == (2, "driftwatch: unknown receiver 'pagr'; did you mean 'pager'?\n")
    assert vendors.received == []


def test_all_at_once_says_of_each_what_came_of_it(vendors, driftwatch, monkeypatch):
    monkeypatch.setenv("DESK_URL", f"{vendors.url}/desk")
    monkeypatch.setenv("DESK_TOKEN", "t0ken")
    done = driftwatch("alerts", "test", "--all")
    assert (done.code, done.err) == (0, "")
    for taken in ("terminal (console)", "pager (pagerduty)", "am (alertmanager)", "chat (discord)", "desk (webhook)"):
        assert f"{taken}: taken in " in done.out


def test_one_that_is_not_set_up_keeps_no_other_from_its_test(vendors, driftwatch):
    done = driftwatch("alerts", "test", "desk", "am", "am")
    assert done.code == 2
    assert "not told: receiver 'desk': environment variable DESK_URL is not set" in done.err
    assert done.err.endswith("driftwatch: 1 of 2 receivers did not take the message; the lines above say why\n")
    assert "am (alertmanager): taken in " in done.out


def test_one_that_cannot_be_reached_leaves_with_3_and_keeps_no_other_from_its_test(
    vendors, driftwatch, free_port, monkeypatch
):
    monkeypatch.setenv("DESK_URL", f"http://127.0.0.1:{free_port}/desk")
    monkeypatch.setenv("DESK_TOKEN", "t0ken")
    vendors.status = None
    done = driftwatch("alerts", "test", "desk", "chat")
    assert done.code == 3
    assert done.err.startswith("not told: receiver 'desk' (")
    assert "`driftwatch serve` would try again" in done.err
    assert "trying again later" not in done.err
    assert "chat (discord): taken in " in done.out


def test_a_config_without_receivers_has_nothing_to_test(tmp_path, monkeypatch, driftwatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "driftwatch.yaml").write_text("targets: {support: {provider: openai, model: gpt-4o-mini}}\n")
    done = driftwatch("alerts", "test", "--all")
    assert (done.code, done.err) == (
        2,
        "driftwatch: the config has no receivers; docs/receivers.md has an example of each\n",
    )
