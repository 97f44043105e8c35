"""Tells a program of the operator's own: started once for each message, with the JSON document on standard input.

No shell reads the command. The program gets none of driftwatch's environment but what ``PASSED_ON`` names, so no secret
of driftwatch, and ``DRIFTWATCH_RECEIVER``, ``DRIFTWATCH_EVENT``, ``DRIFTWATCH_DEDUP_KEY`` and ``DRIFTWATCH_INCIDENT``.
Exit code 0 means taken, 75 (EX_TEMPFAIL of sysexits.h) later, every other refused. What it prints on standard output is
dropped; the last line of its standard error is shown with a failure.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, ClassVar, NoReturn

from driftwatch.alert import document
from driftwatch.alert.receiver import EVERY_EVENT, ReceiverConnection
from driftwatch.alert.receivers.failing import fail
from driftwatch.alert.receivers.posting import to_bytes
from driftwatch.alert.text import line
from driftwatch.domain import Announcement, Event, Json

PASSED_ON = ("HOME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER")
"""Variables of driftwatch's environment that the program gets."""
_LATER = os.EX_TEMPFAIL
_ERROR_BYTES = 4_096
"""Read of the end of standard error."""


class CommandNotifier:
    """Runs the command for every edge; the program picks by the document's ``type``."""

    events: ClassVar[frozenset[Event]] = EVERY_EVENT

    def __init__(self, connection: ReceiverConnection) -> None:
        self._connection = connection
        self._command = [str(word) for word in connection.options.get("command") or ()]

    async def send(self, announcement: Announcement) -> Mapping[str, Json] | None:
        """Run it once.

        Raises:
            DeliveryError: retryable when the program says so, takes too long or cannot be started.
        """
        said = document.of_announcement(announcement)
        await self._run(said, announcement.dedup_key, str(announcement.lead.id))
        return None

    async def send_digest(self, announcements: Sequence[Announcement]) -> None:
        """Run it once for all.

        Raises:
            DeliveryError: as for ``send``.
        """
        numbers = ",".join(str(number) for number in sorted({a.lead.id for a in announcements}))
        await self._run(document.of_digest(announcements), document.digest_key(announcements), numbers)

    async def _run(self, said: Mapping[str, Json], dedup_key: str, incidents: str) -> None:
        own = {
            "DRIFTWATCH_RECEIVER": self._connection.name,
            "DRIFTWATCH_EVENT": str(said["type"]).removeprefix("incident."),
            "DRIFTWATCH_DEDUP_KEY": line(dedup_key),
            "DRIFTWATCH_INCIDENT": incidents,
        }
        env = {name: os.environ[name] for name in PASSED_ON if name in os.environ} | own
        # Files rather than pipes: a program that reads nothing, or leaves a child with an open end, holds nobody up.
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as complaints:
            given.write(to_bytes(dict(said)))
            given.seek(0)
            code = await self._exit_code(given, complaints, env)
            if code:
                self._refused(code, _last_line(complaints))

    async def _exit_code(self, given: IO[bytes], complaints: IO[bytes], env: Mapping[str, str]) -> int:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=given,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=complaints,
                env=env,
                start_new_session=True,  # a process group of its own, which a time-out can end whole
            )
        except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
            reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            self._fail(f"could not be started ({reason}): check the receiver's 'command'; trying again later", True)
        try:
            async with asyncio.timeout(self._connection.timeout_s):
                return await process.wait()
        except TimeoutError:
            self._fail(f"did not end within {self._connection.timeout_s:g} s and was stopped; trying again later", True)
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()

    def _refused(self, code: int, complaint: str) -> NoReturn:
        said = f": {complaint}" if complaint else ""
        if code == _LATER:
            self._fail(f"asks to be told later (exit code {code}){said}", True)
        if code < 0:
            self._fail(f"was stopped by signal {-code}{said}; trying again later", True)
        self._fail(f"refused the message (exit code {code}){said}", False)

    def _fail(self, what: str, retryable: bool) -> NoReturn:
        fail(self._connection, "command", what, retryable=retryable)


def _last_line(complaints: IO[bytes]) -> str:
    size = complaints.seek(0, os.SEEK_END)
    complaints.seek(max(0, size - _ERROR_BYTES))
    lines = complaints.read().decode("utf-8", "replace").strip().splitlines()
    return line(lines[-1], 200) if lines else ""
