"""Virtual tables for full text, and the triggers that keep them and `thread_counts` in step with `threads`."""

from __future__ import annotations

from mcp_server.storage.sql.rows import table
from mcp_server.storage.sql.tables import ThreadCountRow

_COUNTED = [column.name for column in table(ThreadCountRow).primary_key]


def _of(row: str) -> str:
    return ", ".join(f"{row}.{name}" for name in _COUNTED)


def _count_one_less() -> str:
    same = " AND ".join(f"{name} = old.{name}" for name in _COUNTED)
    return f"UPDATE thread_counts SET n = n - 1 WHERE {same}; DELETE FROM thread_counts WHERE {same} AND n = 0;"


def _count_one_more() -> str:
    names = ", ".join(_COUNTED)
    return (
        f"INSERT INTO thread_counts ({names}, n) VALUES ({_of('new')}, 1) "
        f"ON CONFLICT ({names}) DO UPDATE SET n = n + 1;"
    )


_REMOVE_TEXT = (
    "INSERT INTO threads_text (threads_text, rowid, name, preview) "
    "VALUES ('delete', old.number, old.name, old.preview);"
)
_ADD_TEXT = "INSERT INTO threads_text (rowid, name, preview) VALUES (new.number, new.name, new.preview);"
_REMOVE_NAME = (
    "INSERT INTO names_text (names_text, rowid, name) "
    "SELECT 'delete', old.number, old.name || '\n\n' WHERE old.name IS NOT NULL;"
)
_ADD_NAME = "INSERT INTO names_text (rowid, name) SELECT new.number, new.name || '\n\n' WHERE new.name IS NOT NULL;"
_TRIGRAMS = "tokenize='trigram', detail='none', columnsize=0"

CREATE_TRIGGERS = (
    # Trigrams of name and preview. They find candidates, which the rows then confirm.
    "CREATE VIRTUAL TABLE threads_text USING fts5(name, preview, content='threads', content_rowid='number', "
    "tokenize='trigram case_sensitive 1', detail='none', columnsize=0)",
    f"CREATE TRIGGER threads_insert AFTER INSERT ON threads BEGIN {_count_one_more()} {_ADD_TEXT} END",
    f"CREATE TRIGGER threads_delete AFTER DELETE ON threads BEGIN {_count_one_less()} {_REMOVE_TEXT} END",
    # A trigger fires for the columns alone that it reads: one that writes to a text index doubles the cost of a change,
    # even if its WHEN is false. (has_preview follows from preview, attached from attached_to_id.)
    "CREATE TRIGGER threads_recount "
    "AFTER UPDATE OF archived, preview, attached_to_id, source_kind, model_provider, cwd ON threads "
    f"WHEN ({_of('old')}) IS NOT ({_of('new')}) BEGIN {_count_one_less()} {_count_one_more()} END",
    "CREATE TRIGGER threads_reword AFTER UPDATE OF name, preview ON threads "
    "WHEN (old.name, old.preview) IS NOT (new.name, new.preview) "
    f"BEGIN {_REMOVE_TEXT} {_ADD_TEXT} END",
    # Trigrams of names in any case, of messages, and of tool calls. The texts themselves are not stored.
    f"CREATE VIRTUAL TABLE names_text USING fts5(name, content='', {_TRIGRAMS})",
    f"CREATE VIRTUAL TABLE said_text USING fts5(text, content='', {_TRIGRAMS})",
    f"CREATE VIRTUAL TABLE tool_text USING fts5(text, content='', {_TRIGRAMS})",
    "CREATE VIRTUAL TABLE names_text_grams USING fts5vocab('names_text', 'row')",
    "CREATE VIRTUAL TABLE said_text_grams USING fts5vocab('said_text', 'row')",
    "CREATE VIRTUAL TABLE tool_text_grams USING fts5vocab('tool_text', 'row')",
    f"CREATE TRIGGER names_insert AFTER INSERT ON threads BEGIN {_ADD_NAME} END",
    f"CREATE TRIGGER names_delete AFTER DELETE ON threads BEGIN {_REMOVE_NAME} END",
    # One trigger, since SQLite runs several in an order of its own: the old name must go before the new one comes.
    "CREATE TRIGGER names_change AFTER UPDATE OF name ON threads WHEN old.name IS NOT new.name "
    f"BEGIN {_REMOVE_NAME} {_ADD_NAME} END",
)
"""The statements that create them, which no SQLModel can declare."""

_PLAIN_WORDS = "tokenize='unicode61 remove_diacritics 2', detail='none', columnsize=0"


def _words_of(index: str, column: str) -> tuple[str, ...]:
    """An index of the words of a column of threads, and what keeps it."""
    remove = (
        f"INSERT INTO {index} ({index}, rowid, {column}) "
        f"SELECT 'delete', old.number, old.{column} WHERE old.{column} IS NOT NULL;"
    )
    add = f"INSERT INTO {index} (rowid, {column}) SELECT new.number, new.{column} WHERE new.{column} IS NOT NULL;"
    return (
        f"CREATE VIRTUAL TABLE {index} USING fts5({column}, content='', {_PLAIN_WORDS})",
        f"CREATE TRIGGER {index}_insert AFTER INSERT ON threads BEGIN {add} END",
        f"CREATE TRIGGER {index}_delete AFTER DELETE ON threads BEGIN {remove} END",
        f"CREATE TRIGGER {index}_change AFTER UPDATE OF {column} ON threads WHEN old.{column} IS NOT new.{column} "
        f"BEGIN {remove} {add} END",
    )


WORDS_OF_THREADS = {"names_words": "name", "first_words": "preview"}
"""The columns of threads whose words are indexed, by index."""

CREATE_WORDS = (
    # Words of names, of first messages, of all messages, and of tool calls, under the numbers that their trigrams have.
    *(statement for index, column in WORDS_OF_THREADS.items() for statement in _words_of(index, column)),
    f"CREATE VIRTUAL TABLE said_words USING fts5(text, content='', {_PLAIN_WORDS})",
    f"CREATE VIRTUAL TABLE tool_words USING fts5(text, content='', {_PLAIN_WORDS})",
    "CREATE VIRTUAL TABLE names_words_known USING fts5vocab('names_words', 'row')",
    "CREATE VIRTUAL TABLE said_words_known USING fts5vocab('said_words', 'row')",
)
"""What ranks by words, besides."""
