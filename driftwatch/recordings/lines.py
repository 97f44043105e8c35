"""A file's lines as text, compressed or not; what is no readable file is refused in one sentence."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NoReturn

from driftwatch.errors import UsageError

LONGEST_LINE = 8 * 2**20
"""Bytes of one line. The largest reply of any model is about a megabyte; a compressed file of one endless line must
not fill the memory."""

MOST_LINES = 2_000_000
"""Completions of one file; two million of a few hundred bytes are as much as a small machine holds in memory."""


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that hold anything: (number from 1, text)."""
    number = 0
    try:
        with path.open("rb") as raw:
            stream = _opened(raw, path)
            while line := stream.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    _refuse(path, number, f"the line is longer than {LONGEST_LINE // 2**20} MiB", "one reply per line")
                if number > MOST_LINES:
                    _refuse(path, number, f"there are more than {MOST_LINES:,} lines", "split the file")
                text = _decoded(line, path, number)
                if text.strip():
                    yield number, text
    except IsADirectoryError:
        raise UsageError(f"{path}: is a directory; name a .jsonl or .jsonl.gz file in it") from None
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file; name a .jsonl or .jsonl.gz file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        place = f"{path}:{number + 1}"
        raise UsageError(f"{place}: the compressed data is damaged or cut off; compress the file again") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}; name a readable file") from None


def _opened(raw: io.BufferedReader, path: Path) -> IO[bytes]:
    start = raw.peek(2)[:2]
    if start == b"\x1f\x8b":
        return io.BufferedReader(gzip.GzipFile(fileobj=raw))
    if path.suffix == ".gz" and start:
        raise UsageError(f"{path}: is named .gz and is not compressed by gzip; name it .jsonl, or compress it")
    return raw


def _decoded(line: bytes, path: Path, number: int) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        _refuse(path, number, f"byte {error.start + 1} is not UTF-8", "save the file as UTF-8")


def _refuse(path: Path, number: int, problem: str, instead: str) -> NoReturn:
    raise UsageError(f"{path}:{number}: {problem}; {instead}")
