"""What SQLite itself keeps beside the rows of threads: how many there are of each kind, and which hold what text."""

from __future__ import annotations

from sqlalchemy import DDL, event
from sqlmodel import SQLModel

from mcp_server.storage.sql.rows import table
from mcp_server.storage.sql.tables import ThreadCountRow

_COUNTED = [column.name for column in table(ThreadCountRow).primary_key]


def _of(row: str) -> str:
    return ", ".join(f"{row}.{name}" for name in _COUNTED)


def _one_less() -> str:
    same = " AND ".join(f"{name} = old.{name}" for name in _COUNTED)
    return f"UPDATE thread_counts SET n = n - 1 WHERE {same}; DELETE FROM thread_counts WHERE {same} AND n = 0;"


def _one_more() -> str:
    names = ", ".join(_COUNTED)
    return (
        f"INSERT INTO thread_counts ({names}, n) VALUES ({_of('new')}, 1) "
        f"ON CONFLICT ({names}) DO UPDATE SET n = n + 1;"
    )


_TEXT_GOES = (
    "INSERT INTO threads_text (threads_text, rowid, name, preview) "
    "VALUES ('delete', old.number, old.name, old.preview);"
)
_TEXT_COMES = "INSERT INTO threads_text (rowid, name, preview) VALUES (new.number, new.name, new.preview);"
_NAME_GOES = (
    "INSERT INTO names_text (names_text, rowid, name) "
    "SELECT 'delete', old.number, old.name || '\n\n' WHERE old.name IS NOT NULL;"
)
_NAME_COMES = "INSERT INTO names_text (rowid, name) SELECT new.number, new.name || '\n\n' WHERE new.name IS NOT NULL;"
_GRAMS = "tokenize='trigram', detail='none', columnsize=0"

KEPT_BY_SQLITE = (
    # Which rows hold three characters in a row, anywhere in name or preview: candidates, which the rows then confirm.
    "CREATE VIRTUAL TABLE threads_text USING fts5(name, preview, content='threads', content_rowid='number', "
    "tokenize='trigram case_sensitive 1', detail='none', columnsize=0)",
    f"CREATE TRIGGER threads_insert AFTER INSERT ON threads BEGIN {_one_more()} {_TEXT_COMES} END",
    f"CREATE TRIGGER threads_delete AFTER DELETE ON threads BEGIN {_one_less()} {_TEXT_GOES} END",
    # A trigger is limited to the columns that it keeps: one that writes to the text index costs every change as much as
    # all the rest of it, even where nothing follows. (has_preview follows from preview, attached from
    # attached_to_id.)
    "CREATE TRIGGER threads_recount "
    "AFTER UPDATE OF archived, preview, attached_to_id, source_kind, model_provider, cwd ON threads "
    f"WHEN ({_of('old')}) IS NOT ({_of('new')}) BEGIN {_one_less()} {_one_more()} END",
    "CREATE TRIGGER threads_reword AFTER UPDATE OF name, preview ON threads "
    "WHEN (old.name, old.preview) IS NOT (new.name, new.preview) "
    f"BEGIN {_TEXT_GOES} {_TEXT_COMES} END",
    # The same of names alone, whatever their case, and of what was said and done: without the texts.
    f"CREATE VIRTUAL TABLE names_text USING fts5(name, content='', {_GRAMS})",
    f"CREATE VIRTUAL TABLE said_text USING fts5(text, content='', {_GRAMS})",
    f"CREATE VIRTUAL TABLE tool_text USING fts5(text, content='', {_GRAMS})",
    "CREATE VIRTUAL TABLE names_text_grams USING fts5vocab('names_text', 'row')",
    "CREATE VIRTUAL TABLE said_text_grams USING fts5vocab('said_text', 'row')",
    "CREATE VIRTUAL TABLE tool_text_grams USING fts5vocab('tool_text', 'row')",
    f"CREATE TRIGGER names_insert AFTER INSERT ON threads BEGIN {_NAME_COMES} END",
    f"CREATE TRIGGER names_delete AFTER DELETE ON threads BEGIN {_NAME_GOES} END",
    # In one trigger, since the order of several is SQLite's: what both names hold must go before it comes.
    "CREATE TRIGGER names_change AFTER UPDATE OF name ON threads WHEN old.name IS NOT new.name "
    f"BEGIN {_NAME_GOES} {_NAME_COMES} END",
)
"""What no model can say: the text index, and the triggers that keep it and the counts."""

for _statement in KEPT_BY_SQLITE:
    event.listen(SQLModel.metadata, "after_create", DDL(_statement.replace("%", "%%")).execute_if(dialect="sqlite"))
