"""A small proxy between client and model that delays, refuses and breaks requests: trouble that is not drift."""

from __future__ import annotations

import random
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What the proxy does to the requests that pass it."""

    latency_s: float = 0.0
    """Added to every reply."""
    burst_every: int = 0
    """Of this many requests the last ``burst_length`` are answered 429; 0 for never."""
    burst_length: int = 0
    error_share: float = 0.0
    """Share answered 500, chosen by the seed."""
    seed: int = 0


@contextmanager
def in_between(base_url: str, trouble: Trouble) -> Iterator[str]:
    """Put the trouble in front of ``base_url`` and yield the address to ask instead."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(base_url, trouble))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}{urlsplit(base_url).path}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(base_url: str, trouble: Trouble) -> type[BaseHTTPRequestHandler]:
    upstream = urlsplit(base_url)
    rng, lock, count = random.Random(trouble.seed), threading.Lock(), [0]  # noqa: S311 - seeded faults, no cryptography

    def status() -> int:
        with lock:
            place, chance = count[0], rng.random()
            count[0] += 1
        if trouble.burst_every and place % trouble.burst_every >= trouble.burst_every - trouble.burst_length:
            return 429
        return 500 if chance < trouble.error_share else 200

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the name that http.server calls
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            code = status()
            answer = b'{"error": {"message": "not now"}}'
            if code == 200:  # noqa: PLR2004 - HTTP's word for yes
                address = f"{upstream.scheme}://{upstream.netloc}{self.path}"
                request = urllib.request.Request(address, body, {"Content-Type": "application/json"})  # noqa: S310 - to this machine
                with urllib.request.urlopen(request, timeout=120) as reply:  # noqa: S310 - as above
                    answer = reply.read()
            time.sleep(trouble.latency_s)
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Keep quiet: every request is in the recording."""

    return Handler
