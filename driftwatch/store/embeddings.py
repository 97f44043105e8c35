"""The embedding cache: unit vectors by embedder revision and content hash, with the day they were last of use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session
from sqlmodel import col

from driftwatch.store.database import among
from driftwatch.store.tables import EmbeddingRow

_WIRE = np.dtype("<f4")
"""float32, little-endian on every machine, so that a database file can be moved."""


def get(session: Session, revision: str, hashes: Sequence[str]) -> dict[str, tuple[NDArray[np.float32], date]]:
    """The vectors that are cached, each of shape (dim,), with the day of last use; what is not cached is absent."""
    query = select(col(EmbeddingRow.hash), col(EmbeddingRow.vector), col(EmbeddingRow.last_used_on)).where(
        col(EmbeddingRow.revision) == revision, col(EmbeddingRow.hash).in_(among(hashes))
    )
    return {
        key: (np.frombuffer(vector, dtype=_WIRE).astype(np.float32), used_on)
        for key, vector, used_on in session.execute(query)
    }


def touch(session: Session, revision: str, hashes: Sequence[str], *, today: date) -> None:
    """Note that vectors were of use on a day."""
    session.execute(
        update(EmbeddingRow)
        .where(col(EmbeddingRow.revision) == revision, col(EmbeddingRow.hash).in_(among(hashes)))
        .values(last_used_on=today)
        .execution_options(synchronize_session=False),
    )


def put(session: Session, revision: str, vectors: Mapping[str, NDArray[np.float32]], *, today: date) -> None:
    """Cache vectors, in place of those with the same hashes."""
    if not vectors:
        return
    statement = insert(EmbeddingRow)
    kept = {"vector": statement.excluded.vector, "last_used_on": statement.excluded.last_used_on}
    session.execute(
        statement.on_conflict_do_update(index_elements=["revision", "hash"], set_=kept),
        [
            {"revision": revision, "hash": key, "vector": vector.astype(_WIRE).tobytes(), "last_used_on": today}
            for key, vector in vectors.items()
        ],
    )
