"""Alembic's entry. The schema's module hands over a connection with an open transaction, so a revision is committed
together with the row that records it."""

from __future__ import annotations

from alembic import context

from mcp_server.storage.sql.tables import SQLModel

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
