"""The alerts, as a real Alertmanager of Debian's package takes, groups, ends and sends them on."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftwatch.alert.receiver import ReceiverConnection
from driftwatch.alert.receivers.alertmanager import LABELS, AlertmanagerNotifier
from driftwatch.clock import WallClock
from driftwatch.domain import Event, IncidentState, Kind, Severity
from driftwatch.errors import DeliveryError
from tests.alert.mailing import Post

AT = datetime(2026, 3, 16, 20, 0, tzinfo=UTC)
CONFIG = """
global: {{resolve_timeout: 500ms}}
route:
  receiver: desk
  group_by: [incident_key]
  group_wait: 0s
  group_interval: 1s
receivers:
  - name: desk
    webhook_configs: [{{url: "{url}/alertmanager", send_resolved: true}}]
"""


class Running:
    """A real Alertmanager and what it sent on."""

    def __init__(self, port: int, told: Callable[[], list], start: Callable[[], subprocess.Popen]) -> None:
        self.url, self.told = f"http://127.0.0.1:{port}", told
        self._start = start
        self.process = self._started()

    def _started(self) -> subprocess.Popen:
        process = self._start()
        try:
            wait_for(lambda: self.get("/api/v2/status") is not None)
        except BaseException:
            process.kill()
            process.wait(10)
            raise
        return process

    def start_anew(self, storage: Path) -> None:
        """Kill it, and start it with an empty memory and an empty disk."""
        self.process.kill()
        self.process.wait(10)
        shutil.rmtree(storage)
        self.process = self._started()

    def get(self, path: str):
        with urllib.request.urlopen(f"{self.url}{path}", timeout=2) as answer:  # noqa: S310 - loopback
            return json.load(answer)

    def labelled(self, **labels):
        """Alerts that are not over, with these labels."""
        found = self.get("/api/v2/alerts?active=true")
        return [alert for alert in found if labels.items() <= alert["labels"].items()]


@pytest.fixture(scope="session")
def program(debian_program, tmp_path_factory):
    """Debian's Alertmanager and where to run it.

    The package's program wants its templates below /usr/share, where nothing of it is installed. A copy that looks
    below its working directory instead differs in that path alone, and runs without a right of root.
    """
    found = debian_program("prometheus-alertmanager")
    if Path("/usr/share/prometheus/alertmanager/default.tmpl").exists():
        return found, Path.cwd()
    wanted, own = b"/usr/share/prometheus/alertmanager", b"usr/share//prometheus/alertmanager"
    copy = tmp_path_factory.mktemp("debian") / "prometheus-alertmanager"
    copy.write_bytes(found.read_bytes().replace(wanted, own))
    copy.chmod(0o755)
    return copy, found.parents[2]


@pytest.fixture
def alertmanager(program, debian_program, http_server, tmp_path):
    config = tmp_path / "alertmanager.yml"
    config.write_text(CONFIG.format(url=http_server.url))
    checked = [str(debian_program("amtool")), "check-config", str(config)]
    assert subprocess.run(checked, capture_output=True, check=False, timeout=20).returncode == 0
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    arguments = [
        str(program[0]),
        f"--config.file={config}",
        f"--storage.path={tmp_path / 'storage'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        "--log.level=error",
    ]

    def start() -> subprocess.Popen:
        with (tmp_path / "log").open("ab") as log:
            return subprocess.Popen(arguments, cwd=program[1], stdout=log, stderr=log)

    running = Running(port, lambda: [request.json for request in http_server.requests], start)
    try:
        yield running
    finally:
        running.process.terminate()
        running.process.wait(10)


def wait_for(holds, *, seconds=15.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(OSError):
            if holds():
                return
        time.sleep(0.05)
    pytest.fail("did not come to hold in time")


def notifier(url, *, now=None, secrets=None, **labels):
    options = {"base_url": url, "labels": labels}
    connection = ReceiverConnection(name="am", options=options, secrets=secrets or {}, timeout_s=5.0)
    return AlertmanagerNotifier(connection, now=now)


def send(reached, announcement):
    return asyncio.run(reached.send(announcement))


def now_ish(announcement, **changes):
    """As if it happened just now: a real Alertmanager judges ends by its own clock."""
    at = WallClock().now() - timedelta(minutes=5)
    members = tuple(replace(m, opened_at=at, **changes) for m in announcement.members)
    same = next(m for m in members if m.id == announcement.incident.id)
    return replace(
        announcement, group=members, incident=same, transition=replace(announcement.transition, at=WallClock().now())
    )


# ---------------------------------------------------------------- the real one


def test_a_group_appears_as_one_group_and_its_end_is_told(alertmanager, edges):
    reached = notifier(alertmanager.url, env="test")
    joined = now_ish(edges["joined"])
    receipt = send(reached, joined)

    wait_for(lambda: len(alertmanager.labelled(incident="12")) == 3)
    (group,) = alertmanager.get("/api/v2/alerts/groups")
    assert group["labels"] == {"incident_key": "driftwatch-1f2e/12"}
    assert {alert["labels"]["target"] for alert in group["alerts"]} == {"target-0", "target-1", "target-2"}
    assert {alert["labels"]["env"] for alert in group["alerts"]} == {"test"}
    time.sleep(0.8)
    assert len(alertmanager.labelled(incident="12")) == 3, "an explicit end outlives resolve_timeout"

    over = {"state": IncidentState.RESOLVED, "resolved_at": WallClock().now()}
    send(reached, replace(now_ish(edges["group resolved"], **over), receipt=receipt))
    wait_for(lambda: alertmanager.labelled(incident="12") == [])
    wait_for(lambda: [told["status"] for told in alertmanager.told()][-1:] == ["resolved"])
    assert alertmanager.told()[0]["status"] == "firing"


def test_a_graver_incident_takes_the_place_of_its_alert(alertmanager, announce):
    reached = notifier(alertmanager.url)
    warning = now_ish(announce(severity=Severity.WARNING))
    receipt = send(reached, warning)
    wait_for(lambda: len(alertmanager.labelled(severity="warning")) == 1)

    critical = now_ish(announce(event=Event.ESCALATED, severity=Severity.CRITICAL))
    receipt = send(reached, replace(critical, receipt=receipt))
    wait_for(lambda: alertmanager.labelled(severity="warning") == [])
    assert len(alertmanager.labelled(severity="critical")) == 1
    assert [labels["severity"] for labels in receipt["labels"]] == ["critical"]


def test_the_end_of_one_target_leaves_the_others(alertmanager, edges):
    reached = notifier(alertmanager.url)
    send(reached, now_ish(edges["joined"]))
    wait_for(lambda: len(alertmanager.labelled(incident="12")) == 3)
    at = WallClock().now()
    members = edges["member resolved"].members
    partly = tuple(
        replace(m, opened_at=at - timedelta(hours=1), resolved_at=None if m.is_open else at) for m in members
    )
    send(reached, replace(edges["member resolved"], group=partly, incident=partly[1]))
    wait_for(lambda: {a["labels"]["target"] for a in alertmanager.labelled(incident="12")} == {"target-0", "target-2"})


def test_each_alert_begins_and_ends_with_its_incident_while_the_group_goes_on(alertmanager, tmp_path):
    """From the store through the outbox, whose receivers for people hear of the end of all only."""
    post = Post(tmp_path / "watch.db", oncall=notifier(alertmanager.url))
    now = (WallClock().now() - post.at()) / timedelta(minutes=1)
    try:
        lead = post.open("a", now - 30)
        post.deliver(now - 30)
        joined = post.open("b", now - 20, part_of=lead.id)
        post.deliver(now - 20)
        wait_for(lambda: {a["labels"]["target"] for a in alertmanager.labelled()} == {"a", "b"})
        post.move(joined, Event.RESOLVED, now)
        post.deliver(now)
        wait_for(lambda: {a["labels"]["target"] for a in alertmanager.labelled()} == {"a"})
        post.move(lead, Event.RESOLVED, now)
        post.deliver(now)
        wait_for(lambda: alertmanager.labelled() == [])
        assert post.pending() == []
    finally:
        post.store.close()


def test_an_alertmanager_that_was_started_anew_knows_what_is_open_and_ends_it(alertmanager, tmp_path):
    post = Post(tmp_path / "watch.db", oncall=notifier(alertmanager.url))
    now = (WallClock().now() - post.at()) / timedelta(minutes=1)

    def deliver(minutes):
        return asyncio.run(post.courier.deliver(at=post.at(minutes), repeats=True))

    def shown():
        return [alert["labels"]["target"] for alert in alertmanager.labelled()]

    try:
        incident, over = post.open("a", now - 30), post.open("b", now - 30)
        deliver(now - 30)
        wait_for(lambda: sorted(shown()) == ["a", "b"])
        post.move(over, Event.RESOLVED, now - 20)
        deliver(now - 20)
        wait_for(lambda: shown() == ["a"])

        alertmanager.start_anew(tmp_path / "storage")
        assert shown() == []
        deliver(now - 10)
        wait_for(lambda: shown() == ["a"])
        assert len(post.store.notifications()) == 3, "a repeat is no notification"

        post.move(incident, Event.RESOLVED, now)
        deliver(now)
        wait_for(lambda: shown() == [])
        deliver(now + 10)
        wait_for(lambda: [told["status"] for told in alertmanager.told()][-1:] == ["resolved"])
        assert shown() == [], "nothing revives it"
    finally:
        post.store.close()


def test_hostile_replies_are_taken(alertmanager, announce):
    text = "\x00\u202e😀\ud800 {{ .Labels }} <b>" * 5_000
    evidence = {"headline": text, "changes": [text], "owner": text, "feature": text}
    send(notifier(alertmanager.url, team=text[:150]), now_ish(announce(evidence=evidence, target=text)))
    wait_for(lambda: len(alertmanager.labelled(incident="12")) == 1)


def test_an_end_whose_beginning_was_never_told_is_told_to_nobody(alertmanager, edges):
    over = {"state": IncidentState.RESOLVED, "resolved_at": WallClock().now()}
    asyncio.run(notifier(alertmanager.url).send_digest([now_ish(edges["group resolved"], **over)]))
    opened = now_ish(edges["opened"])
    opened = replace(opened, key="another", incident=opened.incident)
    asyncio.run(notifier(alertmanager.url).send_digest([opened]))
    wait_for(lambda: len(alertmanager.told()) > 0)
    assert {alert["labels"]["incident_key"] for told in alertmanager.told() for alert in told["alerts"]} == {"another"}


# ---------------------------------------------------------------- what is sent


def test_a_receipt_of_a_digest_ends_the_alert_with_the_labels_that_no_longer_hold(http_server, announce):
    sending = notifier(http_server.url, now=lambda: AT)
    told = announce(severity=Severity.WARNING)
    receipts = asyncio.run(sending.send_digest([told]))
    assert [labels["severity"] for labels in receipts[told.key]["labels"]] == ["warning"]
    asyncio.run(sending.send(replace(announce(severity=Severity.CRITICAL), receipt=receipts[told.key])))
    ends = {alert["labels"]["severity"]: alert["endsAt"] for alert in http_server.requests[-1].json}
    assert ends["warning"] == AT.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert ends["critical"] > ends["warning"]


def test_labels_and_times(http_server, announce):
    evidence = {"owner": "team-support", "feature": "refunds"}
    receipt = send(notifier(http_server.url, now=lambda: AT, env="prod"), announce(evidence=evidence))
    (request,) = http_server.requests
    (alert,) = request.json
    assert (request.method, request.path, request.headers["Content-Type"]) == (
        "POST",
        "/api/v2/alerts",
        "application/json",
    )
    assert alert["labels"] == {
        "alertname": "DriftwatchBehaviourChanged",
        "env": "prod",
        "severity": "critical",
        "target": "support-bot",
        "kind": "behaviour",
        "owner": "team-support",
        "feature": "refunds",
        "incident": "12",
        "part": "12",
        "incident_key": "driftwatch-1f2e/12",
    }
    assert (alert["startsAt"], alert["endsAt"]) == ("2026-03-16T14:00:00.000Z", "2027-03-16T20:00:00.000Z")
    assert alert["annotations"]["summary"] == "Drift: support-bot"
    assert "driftwatch report 12" in alert["annotations"]["command"]
    assert receipt == {"labels": [alert["labels"]]}
    assert {*alert["labels"], "trouble"} - {"env"} == set(LABELS)


def test_the_end_is_the_incidents_own_and_never_before_its_beginning(http_server, announce):
    early = announce(after=IncidentState.RESOLVED, resolved_at=AT - timedelta(days=30))
    receipt = send(notifier(http_server.url, now=lambda: AT), early)
    (alert,) = http_server.requests[0].json
    assert alert["endsAt"] == alert["startsAt"]
    assert receipt == {"labels": []}
    send(notifier(http_server.url, now=lambda: AT), announce(after=IncidentState.RESOLVED))
    assert http_server.requests[1].json[0]["endsAt"] == "2026-03-16T19:10:00.000Z", "the edge's, where none is stored"


def test_a_repeat_tells_what_the_receipts_say_as_far_as_it_is_open_and_nothing_else(http_server, edges, announce):
    """Of three alerts of the receipt one is over; who got graver keeps the labels that were told."""
    sending = notifier(http_server.url, now=lambda: AT)
    receipt = send(sending, edges["joined"])
    first, second, third = edges["joined"].members
    graver = replace(first, severity=Severity.WARNING)
    over = replace(second, state=IncidentState.RESOLVED, resolved_at=AT)
    told = {"labels": [*receipt["labels"], "nonsense", {"part": "4711"}]}
    untold = replace(announce(), key="untold")
    now = replace(edges["joined"], group=(graver, over, third), incident=graver, receipt=told)
    asyncio.run(sending.repeat([now, untold]))
    assert [alert["labels"] for alert in http_server.requests[-1].json] == [receipt["labels"][0], receipt["labels"][2]]
    assert {alert["endsAt"] for alert in http_server.requests[-1].json} == {"2027-03-16T20:00:00.000Z"}
    asyncio.run(sending.repeat([untold]))
    assert len(http_server.requests) == 2, "nothing is nothing to send"


def test_a_receipt_of_another_form_is_passed_over(http_server, announce):
    told = {"receipt": {"labels": ["nonsense"]}}
    send(notifier(http_server.url, now=lambda: AT), announce(told=told))
    assert len(http_server.requests[0].json) == 1


def test_the_watch_itself_has_its_trouble_as_a_label(http_server, announce):
    send(notifier(http_server.url), announce(Kind.WATCH_ITSELF, told={"owner": None}))
    labels = http_server.requests[0].json[0]["labels"]
    assert (labels["alertname"], labels["trouble"], labels["target"]) == (
        "DriftwatchWatchImpaired",
        "disk",
        "driftwatch",
    )
    assert "owner" not in labels, "an empty label is none"


def test_authorization_is_sent_where_the_config_names_it(http_server, announce):
    send(notifier(http_server.url, secrets={"authorization": lambda: "Bearer t0ken"}), announce())
    assert http_server.requests[0].headers["Authorization"] == "Bearer t0ken"
    send(notifier(http_server.url), announce())
    assert "Authorization" not in http_server.requests[1].headers


def test_alertmanagers_own_words_are_shown(http_server, announce):
    http_server.says(400, '"bad labels: name"')
    with pytest.raises(DeliveryError, match=r"\(status 400, bad labels: name\): driftwatch built alerts"):
        send(notifier(http_server.url), announce())
    http_server.says(502, '{"message": "no upstream"}')
    with pytest.raises(DeliveryError, match=r"\(status 502, no upstream\)"):
        send(notifier(http_server.url), announce())
