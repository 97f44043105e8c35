"""What holds for every entry of NOTIFIERS."""

from __future__ import annotations

import asyncio
import copy
import subprocess
import sys

import pytest

from driftwatch.alert import NOTIFIERS, ReceiverConnection
from driftwatch.domain import IncidentState, Kind
from driftwatch.errors import DeliveryError


def test_there_are_notifiers():
    assert set(NOTIFIERS) == {"console", "slack"}


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("name", list(NOTIFIERS))
def test_every_notifier_tells_every_edge_and_changes_nothing(name, kind, announce, local_slack):
    connection = ReceiverConnection(name="r", read_webhook_url=lambda: local_slack.url, write=lambda _: None)
    notifier = NOTIFIERS[name](connection)
    for after in IncidentState:
        announcement = announce(kind, after)
        before = copy.deepcopy(announcement)
        assert asyncio.run(notifier.send(announcement)) is None
        assert announcement == before


@pytest.mark.parametrize("name", list(NOTIFIERS))
def test_every_notifier_fails_with_a_delivery_error_that_names_it(name, announce, free_port):
    def closed(_: str) -> None:
        raise ValueError("I/O operation on closed file")

    url = f"http://127.0.0.1:{free_port}/"
    connection = ReceiverConnection(name="my receiver", read_webhook_url=lambda: url, write=closed)
    with pytest.raises(DeliveryError, match="receiver 'my receiver'") as failed:
        asyncio.run(NOTIFIERS[name](connection).send(announce()))
    assert failed.value.receiver == "my receiver"


def test_importing_the_notifiers_does_not_import_slacks_library():
    code = "import sys, driftwatch.alert; print([m for m in sys.modules if m.startswith('slack_sdk')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
