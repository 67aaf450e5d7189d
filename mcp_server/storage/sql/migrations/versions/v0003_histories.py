"""The index of histories: turns by byte offset, full text, and what is still to be read."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_GRAMS = "tokenize='trigram', detail='none', columnsize=0"
_GOES = (
    "INSERT INTO names_text (names_text, rowid, name) "
    "SELECT 'delete', old.number, old.name || '\n\n' WHERE old.name IS NOT NULL;"
)
_COMES = "INSERT INTO names_text (rowid, name) SELECT new.number, new.name || '\n\n' WHERE new.name IS NOT NULL;"
_STATEMENTS = (
    f"CREATE VIRTUAL TABLE names_text USING fts5(name, content='', {_GRAMS})",
    f"CREATE VIRTUAL TABLE said_text USING fts5(text, content='', {_GRAMS})",
    f"CREATE VIRTUAL TABLE tool_text USING fts5(text, content='', {_GRAMS})",
    "CREATE VIRTUAL TABLE names_text_grams USING fts5vocab('names_text', 'row')",
    "CREATE VIRTUAL TABLE said_text_grams USING fts5vocab('said_text', 'row')",
    "CREATE VIRTUAL TABLE tool_text_grams USING fts5vocab('tool_text', 'row')",
    f"CREATE TRIGGER names_insert AFTER INSERT ON threads BEGIN {_COMES} END",
    f"CREATE TRIGGER names_delete AFTER DELETE ON threads BEGIN {_GOES} END",
    "CREATE TRIGGER names_change AFTER UPDATE OF name ON threads WHEN old.name IS NOT new.name "
    f"BEGIN {_GOES} {_COMES} END",
    "INSERT INTO names_text (rowid, name) SELECT number, name || '\n\n' FROM threads WHERE name IS NOT NULL",
    "INSERT INTO unread (thread_id, updated_at_ms) SELECT id, updated_at_ms FROM threads",
)


def upgrade() -> None:
    _create_histories()
    _create_texts()
    for statement in _STATEMENTS:
        op.execute(sa.text(statement.replace(":", "\\:")))


def _column(name: str, kind: Any = None, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind or sa.String(), nullable=nullable)


def _create_histories() -> None:
    op.create_table(
        "histories",
        _column("number", sa.Integer()),
        _column("thread_id"),
        _column("size", sa.BigInteger()),
        _column("mtime_ns", sa.BigInteger()),
        _column("base", sa.BigInteger()),
        _column("end", sa.BigInteger()),
        _column("check"),
        _column("turns", sa.Integer()),
        _column("items", sa.Integer()),
        _column("next_item", sa.Integer()),
        _column("next_ordinal", sa.BigInteger()),
        _column("open_calls", sa.JSON()),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("thread_id"),
    )
    op.create_table(
        "turns",
        _column("history", sa.Integer()),
        _column("number", sa.Integer()),
        _column("turn_id"),
        _column("start", sa.BigInteger()),
        _column("end", sa.BigInteger()),
        _column("line", sa.Integer()),
        _column("item", sa.Integer()),
        _column("counted", sa.Integer()),
        _column("items", sa.Integer()),
        _column("size", sa.Integer()),
        _column("facts", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("history", "number"),
        sa.ForeignKeyConstraint(["history"], ["histories.number"], ondelete="CASCADE"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_turns_turn_id", "turns", ["history", "turn_id"])


def _create_texts() -> None:
    op.create_table(
        "texts",
        _column("number", sa.Integer()),
        _column("history", sa.Integer()),
        _column("turn", sa.BigInteger()),
        _column("start", sa.BigInteger()),
        _column("end", sa.BigInteger()),
        sa.PrimaryKeyConstraint("number"),
        sa.ForeignKeyConstraint(["history"], ["histories.number"], ondelete="CASCADE"),
    )
    op.create_index("ix_texts_history", "texts", ["history"])
    op.create_table(
        "unread",
        _column("thread_id"),
        _column("updated_at_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("thread_id"),
    )
    op.create_index("ix_unread_updated_at_ms", "unread", ["updated_at_ms"])
