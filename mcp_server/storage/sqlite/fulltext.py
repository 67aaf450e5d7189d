"""Full text on FTS5: which texts may hold what is searched for. Each function leaves the transaction to its caller.

The index knows which texts hold a trigram, and neither where nor the texts themselves. So it takes half their size at
most, and finds words, parts of words, code, and languages without spaces alike; the rollouts confirm what it finds.
SQLite folds case as Unicode 6 did. So we fold texts before they are indexed; names are indexed by triggers as they
are, and searched for in all spellings.
Newer texts have greater numbers. Those that were there before the index was begun go below all others, the last changed
threads first, since they are read in that order.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import product
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    TableClause,
    Text,
    and_,
    bindparam,
    column,
    func,
    insert,
    select,
)
from sqlalchemy import table as virtual_table

from mcp_server.models.case import folded, spellings
from mcp_server.models.history import IndexUpdate, TextChunk
from mcp_server.models.number import clamped
from mcp_server.models.thread import StoredThread
from mcp_server.storage.query import TextPlace, TextQuery, ThreadQuery
from mcp_server.storage.sql.lists import TermIndex, ThreadLists, filters_of, shape_of, values_of
from mcp_server.storage.sql.log import save_setting, setting
from mcp_server.storage.sql.prepared import Prepared
from mcp_server.storage.sql.rows import AnySelect, RowMapper, table
from mcp_server.storage.sql.tables import HistoryRow, TextRow, ThreadRow, TurnRow
from mcp_server.storage.sql.threads import get_numbered
from mcp_server.storage.sql.turns import TURN_COLUMNS, turn_of
from mcp_server.storage.sqlite import words
from mcp_server.storage.sqlite.narrow import among_few, few_texts, is_narrow

_CHUNK = RowMapper(TextChunk, TextRow)
_threads, _histories, _turns, _texts = table(ThreadRow), table(HistoryRow), table(TurnRow), table(TextRow)


def _fts(name: str, *columns: str) -> TableClause:
    """A virtual table. MATCH and commands go to the column that is called like the table."""
    return virtual_table(name, *map(column, ("rowid", name, *columns)))


_said, _tools, _names, _held = (
    _fts("said_text", "text", "rank"),
    _fts("tool_text", "text", "rank"),
    _fts("names_text"),
    _fts("threads_text"),
)

GRAM = 3
PADDING = "\n" * (GRAM - 1)
"""Follows each text, so that its last characters begin a trigram too."""
_MARKS = frozenset(".,:;?!")

_BEGUN, _NUMBERED, _MERGED = "texts_begun_ms", "texts_numbered", "texts_merged"
_NEVER = (0, False)
_MANY_TEXTS, _MERGED_PAGES = 1_000, 200
_MIDDLE = 1 << 40
_GRAMS = 16  # more of them hardly narrow the search
_COMMON = 250  # a literal of one or two characters that begins more trigrams than this is in nearly every text
_NO_CHARACTERS = {0xFFFE: 0xFFFD, 0xFFFF: 0xFFFD}  # as SQLite reads them

# ---------------------------------------------------------------------------------------------- writing


def add(connection: Connection, updates: Sequence[tuple[int, IndexUpdate]], now_ms: int) -> None:
    """Number and index the texts of these updates, each with the number of its history; the first is of the newest."""
    newer: list[tuple[int, TextChunk]] = []
    older: list[tuple[int, TextChunk]] = []
    begun = _begun(connection, now_ms) if any(update.texts for _, update in updates) else 0
    for history, update in reversed(updates):
        into = newer if update.checkpoint.version.mtime_ns // 1_000_000 >= begun else older
        into += [(history, chunk) for chunk in update.texts]
    if not newer and not older:
        return
    least, most = _ends(connection)
    first, after = least - len(older), most + 1
    save_setting(connection, _NUMBERED, [first, most + len(newer)])
    numbered = [(first + n, *one) for n, one in enumerate(older)] + [(after + n, *one) for n, one in enumerate(newer)]
    rows = ({"number": number, "history": history, **_CHUNK.values(chunk)} for number, history, chunk in numbered)
    _INSERT_TEXTS.run_each(connection, rows)
    for statement, tools in ((_INDEX_SAID, False), (_INDEX_TOOLS, True)):
        if texts := [(number, chunk.text) for number, _, chunk in numbered if chunk.tools == tools]:
            statement.run_each(connection, ({"rowid": number, "text": _indexed(text)} for number, text in texts))
            words.add(connection, texts, tools=tools)


_INSERT_TEXTS = Prepared(insert(_texts), ("number", "history", *_CHUNK.names))
_INDEX_SAID, _INDEX_TOOLS = (Prepared(insert(of), ("rowid", "text")) for of in (_said, _tools))
_ENDS = select(func.coalesce(func.min(_texts.c.number), _MIDDLE), func.coalesce(func.max(_texts.c.number), _MIDDLE))


def _ends(connection: Connection) -> tuple[int, int]:
    """The least and the greatest number that a text ever had. None is given twice, since what is indexed of a text that
    is gone stays under its number."""
    numbered: list[int] | None = setting(connection, _NUMBERED)
    least, most = connection.execute(_ENDS).one()
    return (least, most) if numbered is None else (min(least, numbered[0]), max(most, numbered[1]))


def forget_all(connection: Connection) -> None:
    """Forget what the texts hold, once their histories are forgotten."""
    for of in (_said, _tools):
        connection.execute(insert(of), {of.name: "delete-all"})
    words.forget_all(connection)


def merge_is_due(connection: Connection) -> bool:
    """Whether there are twice as many texts as when the indexes were merged last, or a merge is under way."""
    merged, under_way = setting(connection, _MERGED) or _NEVER
    return under_way or _count_numbered(connection) >= max(_MANY_TEXTS, 2 * merged)


def merge(connection: Connection) -> bool:
    """Merge what was indexed batch by batch, a step further; whether there is more to do. Each batch leaves a piece
    with words and trigrams of its own. As one piece they take a tenth less, and a query looks in one place."""
    merged, under_way = setting(connection, _MERGED) or _NEVER
    if not under_way:
        merged = _count_numbered(connection)
    before = connection.exec_driver_sql("SELECT total_changes()").scalar_one()
    indexes = (_said, _tools, *words.OF_TEXTS)
    for index in indexes:
        # To SQLite a negative number of pages says to merge all, a positive one to go on with that.
        pages = _MERGED_PAGES if under_way else -_MERGED_PAGES
        connection.execute(insert(index), {index.name: "merge", "rank": pages})
    changes = connection.exec_driver_sql("SELECT total_changes()").scalar_one() - before
    more = changes > len(indexes)  # each command is one itself
    save_setting(connection, _MERGED, [merged, more])
    return more


def _count_numbered(connection: Connection) -> int:
    least, most = _ends(connection)
    return most - least


def runs_of(text: str) -> list[str]:
    """The runs of characters between blanks, each once, in one case, without the mark that a sentence may put behind
    it. SQLite would end a text at a NUL, so that is a blank too."""
    runs = folded(text).replace("\0", " ").split()
    return [run for run in dict.fromkeys(run[:-1] if run[-1] in _MARKS else run for run in runs) if run]


def _indexed(text: str) -> str:
    """A shorter text with all trigrams of the runs of a text: without the runs whose trigrams others have, and without
    blanks. It takes a quarter off the index. That runs touch adds trigrams, but rarely a candidate."""
    held = set[str]()
    kept: list[str] = []
    runs = sorted(runs_of(text), key=len, reverse=True)
    for run in runs:
        grams = {run[start : start + GRAM] for start in range(len(run) - GRAM + 1)}
        if not grams <= held:
            held |= grams
            kept.append(run)
    shorter = "".join(kept)
    for run in runs:
        if len(run) < GRAM and run not in shorter:
            shorter += run
    return shorter + PADDING


def _begun(connection: Connection, now_ms: int) -> int:
    """When the index was begun, in Unix milliseconds."""
    begun = setting(connection, _BEGUN)
    if begun is None:
        save_setting(connection, _BEGUN, begun := now_ms)
    return int(begun)


# ---------------------------------------------------------------------------------------------- finding


def places(connection: Connection, query: TextQuery) -> list[TextPlace]:
    """Where texts may hold the literals, the newest first."""
    found: dict[int, Any] = {}
    for index in (_said, _tools) if query.tools else (_said,):
        found |= {row.text: row for row in _candidates(connection, index, query)}
    page = [found[number] for number in sorted(found, reverse=True)[: query.limit]]
    threads = {row.thread: None for row in page}
    rows = dict(zip(threads, get_numbered(connection, list(threads)), strict=True))
    return [
        TextPlace(row.text, rows[row.thread], None if row[0] is None else turn_of(row), row.start_, row.end_)
        for row in page
    ]


def _candidates(connection: Connection, index: TableClause, query: TextQuery) -> Sequence[Any]:
    literals = [tuple((char,) for char in run) for literal in query.literals for run in runs_of(literal)]
    match = _match(connection, _vocabulary(index), literals)
    if match is None:
        return []
    few = _few_texts(connection, index, query, match)
    if few == []:
        return []
    statement = _places_of(
        index,
        shape_of(query.threads),
        matched=match != "",
        of_thread=query.thread_id is not None,
        paged=query.before is not None,
        of_few=few is not None,
    )
    of_page = {
        "few": few,
        "match": match,
        "thread_id": query.thread_id,
        "before": clamped(query.before or 0),
        "most": query.limit,
    }
    return connection.execute(statement, values_of(query.threads) | of_page).all()


def _few_texts(connection: Connection, index: TableClause, query: TextQuery, match: str) -> list[int] | None:
    """The numbers of the texts to look among, if these are few and those that match are many."""
    if query.thread_id is not None or not match or not is_narrow(query.threads):
        return None
    some = select(index.c.rowid).where(_matches(index)).limit(bindparam("most")).subquery()
    values = {"match": match, "most": _MANY_TEXTS}
    if connection.execute(select(func.count()).select_from(some), values).scalar_one() < _MANY_TEXTS:
        return None
    return few_texts(connection, query.threads)


@lru_cache
def _places_of(
    index: TableClause, shape: ThreadQuery, *, matched: bool, of_thread: bool, paged: bool, of_few: bool
) -> AnySelect:
    conditions, number, source = filters_of(shape), _texts.c.number, _texts
    if matched:
        conditions.append(_matches(index))
        number, source = index.c.rowid, index.join(_texts, _texts.c.number == index.c.rowid)
    if of_thread:
        # The texts of one thread lie together where they were read together.
        thread_id: BindParameter[Any] = bindparam("thread_id")
        history = select(_histories.c.number).where(_histories.c.thread_id == thread_id).scalar_subquery()
        first, last = (
            select(end(_texts.c.number)).where(_texts.c.history == history).scalar_subquery()
            for end in (func.min, func.max)
        )
        conditions += [_threads.c.id == thread_id, number.between(first, last)]
    if of_few:
        conditions.append(among_few(number))
    if paged:
        conditions.append(number < bindparam("before"))
    columns = {"text": _texts.c.number, "thread": _threads.c.number, "start_": _texts.c.start, "end_": _texts.c.end}
    return (
        select(*TURN_COLUMNS, *(column.label(name) for name, column in columns.items()))
        .select_from(
            source.join(_histories, _histories.c.number == _texts.c.history)
            .join(_threads, _threads.c.id == _histories.c.thread_id)
            .outerjoin(_turns, and_(_turns.c.history == _texts.c.history, _turns.c.start == _texts.c.turn))
        )
        # Without statistics SQLite would look through all turns of the thread.
        .with_hint(_turns, "INDEXED BY ix_turns_start", "sqlite")
        .where(*conditions)
        .order_by(number.desc())
        .limit(bindparam("most"))
    )


def named(connection: Connection, literals: Sequence[str], threads: ThreadQuery, limit: int) -> list[StoredThread]:
    """Threads whose names may hold all literals, whatever their case; the last changed first."""
    match = _match(connection, _vocabulary(_names), [tuple(map(spellings, literal)) for literal in literals])
    if match is None:
        return []
    statement = _named(shape_of(threads), matched=match != "")
    numbers = connection.scalars(statement, values_of(threads) | {"match": match, "most": limit})
    return get_numbered(connection, numbers.all())


@lru_cache
def _named(shape: ThreadQuery, *, matched: bool) -> AnySelect:
    conditions, source = filters_of(shape), _threads
    if matched:
        conditions.append(_matches(_names))
        source = _names.join(_threads, _threads.c.number == _names.c.rowid)
    else:
        conditions.append(_threads.c.name.is_not(None))
    newest = _threads.c.updated_at_ms.desc(), _threads.c.id.desc()
    statement = select(_threads.c.number).select_from(source).where(*conditions)
    return statement.order_by(*newest).limit(bindparam("most"))


def _matches(index: TableClause) -> ColumnElement[bool]:
    return index.c[index.name].op("MATCH")(bindparam("match", type_=Text))


_Spelled = tuple[tuple[str, ...], ...]
"""For each character of a literal, its spellings."""


def _match(connection: Connection, vocabulary: TableClause, literals: Sequence[_Spelled]) -> str | None:
    """The MATCH expression: "" if any text may hold all literals, None if no text can."""
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


def _grams_with(connection: Connection, vocabulary: TableClause, start: str) -> list[str]:
    """The trigrams in the index that begin with one or two characters; not all if they are many."""
    low = start.translate(_NO_CHARACTERS)
    within = vocabulary.c.term.between(low, low + GRAM * chr(sys.maxunicode))
    return list(connection.scalars(select(vocabulary.c.term).where(within).limit(_COMMON + 1)))


def _vocabulary(index: TableClause) -> TableClause:
    """The trigrams that an index holds, as rows of `term`."""
    return virtual_table(f"{index.name}_grams", column("term", Text))


def _any(grams: Iterable[str]) -> str:
    return f"({' OR '.join(map(_quoted, grams))})"


def _quoted(gram: str) -> str:
    return '"' + gram.replace('"', '""') + '"'


# ---------------------------------------------------------------------------------------------- terms of lists

_TERM_GRAMS = 32


def _grams_of_term(term: str) -> str | None:
    """The MATCH expression for the rows that hold all trigrams of a term; None if the term is shorter than one."""
    grams = {term[start : start + GRAM] for start in range(len(term) - GRAM + 1)}
    usable = sorted(gram for gram in grams if "\0" not in gram)[:_TERM_GRAMS]
    return " AND ".join(map(_quoted, usable)) or None


LISTS = ThreadLists(
    TermIndex(
        select(_held.c.rowid.label("number")).where(_matches(_held)).limit(bindparam("most")),
        _grams_of_term,
    )
)
