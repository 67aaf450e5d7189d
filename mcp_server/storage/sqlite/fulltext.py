"""Full text in SQL: which texts may hold what is looked for. Each function leaves the transaction to its caller.

The text index knows which texts hold three characters in a row, and neither where nor the texts themselves: it is a
third of their size, finds words, parts of words, code, and languages without spaces alike, and the rollouts confirm.
SQLite folds case as Unicode 6 did: so texts are folded before they are indexed, and for names, which triggers index as
they are, all spellings are asked for.
Texts are numbered so that newer ones have greater numbers; those that were there before the index was begun go below
all others, the last changed threads first, since that is how they are read.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from sqlalchemy import Connection

from mcp_server.models.case import folded, spellings
from mcp_server.models.history import IndexUpdate, TextChunk
from mcp_server.models.thread import StoredThread
from mcp_server.storage.history import TextPlace, TextQuery
from mcp_server.storage.query import ThreadQuery
from mcp_server.storage.sql.log import save_setting, setting
from mcp_server.storage.sqlite.filters import (
    Conditions,
    all_of,
    expression,
    of_attached_to,
    of_cwd,
    of_group,
    of_ids,
    of_time,
    of_tree,
)
from mcp_server.storage.sqlite.statements import clamped, fetch_all, fetch_one, run_each
from mcp_server.storage.sqlite.threads import get_numbered
from mcp_server.storage.sqlite.turns import SPAN, span_of_row

GRAM = 3
PADDING = "\n" * (GRAM - 1)
"""Behind each text, so that its last characters begin a run of three too."""

_BEGUN = "texts_begun_ms"
_MIDDLE = 1 << 40
_GRAMS = 16  # more of them hardly tell more
_COMMON = 250  # a literal of one or two characters that begins more runs than this is in nearly every text
_NO_CHARACTERS = {0xFFFE: 0xFFFD, 0xFFFF: 0xFFFD}  # as SQLite reads them

# ---------------------------------------------------------------------------------------------- writing


def add(connection: Connection, steps: Sequence[tuple[int, IndexUpdate]], now_ms: int) -> None:
    """Number and index the texts of these steps, each with the number of its history; the first is of the newest."""
    newer: list[tuple[int, TextChunk]] = []
    older: list[tuple[int, TextChunk]] = []
    begun = _begun(connection, now_ms) if any(step.texts for _, step in steps) else 0
    for history, step in reversed(steps):
        into = newer if step.mark.stamp.mtime_ns // 1_000_000 >= begun else older
        into += [(history, piece) for piece in step.texts]
    if not newer and not older:
        return
    ends = "SELECT coalesce(min(number), ?), coalesce(max(number), ?) FROM texts"
    least, most = fetch_one(connection, ends, (_MIDDLE, _MIDDLE))
    first, after = least - len(older), most + 1
    numbered = [(first + n, *one) for n, one in enumerate(older)] + [(after + n, *one) for n, one in enumerate(newer)]
    run_each(
        connection,
        'INSERT INTO texts (number, history, turn, start, "end") VALUES (?, ?, ?, ?, ?)',
        [(number, history, piece.turn, piece.start, piece.end) for number, history, piece in numbered],
    )
    for table, tools in (("said_text", False), ("tool_text", True)):
        rows = [(number, _indexed(piece.text) + PADDING) for number, _, piece in numbered if piece.tools == tools]
        if rows:
            run_each(connection, f"INSERT INTO {table} (rowid, text) VALUES (?, ?)", rows)


def _indexed(text: str) -> str:
    """SQLite reads no further than to a NUL."""
    return folded(text).replace("\0", "\n")


def _begun(connection: Connection, now_ms: int) -> int:
    """When the index was begun, in Unix milliseconds."""
    begun = setting(connection, _BEGUN)
    if begun is None:
        save_setting(connection, _BEGUN, begun := now_ms)
    return int(begun)


# ---------------------------------------------------------------------------------------------- finding


def places(connection: Connection, query: TextQuery) -> list[TextPlace]:
    found: dict[int, Any] = {}
    for table in ("said_text", "tool_text") if query.tools else ("said_text",):
        found |= {row[0]: row for row in _candidates(connection, table, query)}
    page = [found[number] for number in sorted(found, reverse=True)[: query.limit]]
    threads = {number: None for _, number, *_ in page}
    rows = dict(zip(threads, get_numbered(connection, list(threads)), strict=True))
    return [
        TextPlace(number, rows[thread], None if span[0] is None else span_of_row(*span), start, end)
        for number, thread, start, end, *span in page
    ]


def _candidates(connection: Connection, table: str, query: TextQuery) -> Sequence[Any]:
    literals = [tuple((char,) for char in _indexed(literal)) for literal in query.literals]
    match = _match(connection, f"{table}_grams", literals)
    if match is None:
        return []
    conditions, values = _conditions(query.threads)
    # CROSS JOIN: in this order
    source, number = f"{table} f CROSS JOIN texts x ON x.number = f.rowid", "f.rowid"
    if match:
        conditions.append(f"{table} MATCH ?")
        values.append(match)
    else:
        source, number = "texts x", "x.number"
    if query.thread_id is not None:
        # The texts of one thread lie together where they were read together.
        of_thread = "SELECT {}(number) FROM texts WHERE history = (SELECT number FROM histories WHERE thread_id = ?)"
        conditions += ["id = ?", f"{number} BETWEEN ({of_thread.format('min')}) AND ({of_thread.format('max')})"]
        values += [query.thread_id] * 3
    if query.before is not None:
        conditions.append(f"{number} < ?")
        values.append(clamped(query.before))
    sql = (
        f'SELECT x.number, t.number, x.start, x."end", {SPAN} FROM {source} '
        "CROSS JOIN histories h ON h.number = x.history CROSS JOIN threads t ON t.id = h.thread_id "
        # Without statistics SQLite would look through all turns of the thread.
        "LEFT JOIN turns u INDEXED BY ix_turns_start ON u.history = x.history AND u.start = x.turn "
        f"WHERE {expression(conditions)} ORDER BY {number} DESC LIMIT ?"
    )
    return fetch_all(connection, sql, (*values, query.limit))


def named(connection: Connection, literals: Sequence[str], threads: ThreadQuery, limit: int) -> list[StoredThread]:
    match = _match(connection, "names_text_grams", [tuple(map(spellings, literal)) for literal in literals])
    if match is None:
        return []
    conditions, values = _conditions(threads)
    source = "names_text f CROSS JOIN threads t ON t.number = f.rowid"
    if match:
        conditions.append("names_text MATCH ?")
        values.append(match)
    else:
        source = "threads t"
        conditions.append("t.name IS NOT NULL")
    sql = (
        f"SELECT t.number FROM {source} WHERE {expression(conditions)} ORDER BY t.updated_at_ms DESC, t.id DESC LIMIT ?"
    )
    return get_numbered(connection, [number for (number,) in fetch_all(connection, sql, (*values, limit))])


_Spelled = tuple[tuple[str, ...], ...]
"""For each character of a literal, those that may stand for it."""


def _match(connection: Connection, vocabulary: str, literals: Sequence[_Spelled]) -> str | None:
    """What the index is asked: "" if any text may hold all literals, None if no text can."""
    parts: list[str] = []
    for literal in literals:
        if len(literal) >= GRAM:
            parts += [_any(map("".join, product(*gram))) for gram in _grams(literal)]
            continue
        begin = [gram for start in product(*literal) for gram in _grams_with(connection, vocabulary, "".join(start))]
        if not begin:
            return None
        if len(begin) <= _COMMON:
            parts.append(_any(begin))
    return " AND ".join(parts)


def _grams(literal: _Spelled) -> list[_Spelled]:
    grams = list(dict.fromkeys(literal[start : start + GRAM] for start in range(len(literal) - GRAM + 1)))
    usable = [gram for gram in grams if ("\0",) not in gram]
    return usable[:: max(1, len(usable) // _GRAMS)]


def _grams_with(connection: Connection, vocabulary: str, start: str) -> list[str]:
    """The runs of three characters in the index that begin with one or two; not all if they are many."""
    low = start.translate(_NO_CHARACTERS)
    sql = f"SELECT term FROM {vocabulary} WHERE term >= ? AND term <= ? LIMIT ?"
    return [term for (term,) in fetch_all(connection, sql, (low, low + GRAM * chr(sys.maxunicode), _COMMON + 1))]


def _any(grams: Iterable[str]) -> str:
    return f"({' OR '.join(map(_quoted, grams))})"


def _quoted(gram: str) -> str:
    return '"' + gram.replace('"', '""') + '"'


def _conditions(query: ThreadQuery) -> Conditions:
    """The filters of a query, whose time is that of the last change."""
    when = of_time(replace(query, sort_key="updated_at"))
    rows = all_of(of_tree(query), of_attached_to(query), of_ids(query))
    return all_of(of_group(query), of_cwd(query), when, rows)
