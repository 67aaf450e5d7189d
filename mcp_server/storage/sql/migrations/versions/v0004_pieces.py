"""Long turns are cut into chunks, so their histories must be read again. And triggers fire only if a statement sets a
column that they depend on: firing the trigger of the text index for nothing doubled the cost of an update."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COUNTED = ("archived", "has_preview", "source_kind", "model_provider", "cwd")
_NAMES = ", ".join(_COUNTED)
_OLD = ", ".join(f"old.{name}" for name in _COUNTED)
_NEW = ", ".join(f"new.{name}" for name in _COUNTED)
_SAME = " AND ".join(f"{name} = old.{name}" for name in _COUNTED)
_STATEMENTS = (
    "DROP TRIGGER threads_recount",
    "DROP TRIGGER threads_reword",
    "CREATE TRIGGER threads_recount AFTER UPDATE OF archived, preview, source_kind, model_provider, cwd ON threads "
    f"WHEN ({_OLD}) IS NOT ({_NEW}) "
    f"BEGIN UPDATE thread_counts SET n = n - 1 WHERE {_SAME}; DELETE FROM thread_counts WHERE {_SAME} AND n = 0; "
    f"INSERT INTO thread_counts ({_NAMES}, n) VALUES ({_NEW}, 1) ON CONFLICT ({_NAMES}) DO UPDATE SET n = n + 1; END",
    "CREATE TRIGGER threads_reword AFTER UPDATE OF name, preview ON threads "
    "WHEN (old.name, old.preview) IS NOT (new.name, new.preview) "
    "BEGIN INSERT INTO threads_text (threads_text, rowid, name, preview) "
    "VALUES ('delete', old.number, old.name, old.preview); "
    "INSERT INTO threads_text (rowid, name, preview) VALUES (new.number, new.name, new.preview); END",
)


_LONG = '(SELECT history FROM turns WHERE "end" - start > 131072)'


def upgrade() -> None:
    op.execute(
        "INSERT OR IGNORE INTO unread (thread_id, updated_at_ms) SELECT t.id, t.updated_at_ms FROM threads t "
        f"JOIN histories h ON h.thread_id = t.id WHERE h.number IN {_LONG}"
    )
    op.execute(f"DELETE FROM histories WHERE number IN {_LONG}")
    for statement in _STATEMENTS:
        op.execute(statement)
