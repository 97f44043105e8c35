"""Alembic's entry: run the migrations on the connection that ``driftwatch.store.migrate`` hands over."""

from __future__ import annotations

from alembic import context

from driftwatch.store.tables import METADATA


def run() -> None:
    context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
    context.run_migrations()


# Alembic executes this file under this name; whoever else imports it (a documentation or doctest run) only looks.
if __name__ == "env_py":
    run()
