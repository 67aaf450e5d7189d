"""The index of words on FTS5: which texts and names hold a word, or one that begins so. It ranks, where the index of
trigrams finds parts of words. It takes an eighth of the size of the texts, or with much code up to a quarter.

A common word is in so many texts that to look at each would take longer than a call may. So of each word the newest
texts are looked at, and of these the ones that hold most of the words. Then the other texts of their threads are asked
for, so that the words may stand anywhere in a thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import BindParameter, Connection, TableClause, Text, bindparam, column, func, insert, select
from sqlalchemy import table as virtual_table

from mcp_server.models.words import words_of
from mcp_server.storage.query import TextPlace, ThreadQuery, WordForms, WordHit, WordHits, WordQuery
from mcp_server.storage.sql.lists import filters_of, shape_of, values_of
from mcp_server.storage.sql.prepared import Prepared
from mcp_server.storage.sql.rows import AnySelect, among, from_json, listed, table
from mcp_server.storage.sql.tables import HistoryRow, TextRow, ThreadRow, TurnRow
from mcp_server.storage.sql.threads import get_numbered
from mcp_server.storage.sql.turns import TURN_COLUMNS, turn_of
from mcp_server.storage.sqlite.narrow import among_few, few_texts

_threads, _histories, _turns, _texts = table(ThreadRow), table(HistoryRow), table(TurnRow), table(TextRow)


def _fts(name: str, *columns: str) -> TableClause:
    return virtual_table(name, *map(column, ("rowid", name, *columns)))


_said, _tools = OF_TEXTS = _fts("said_words", "text", "rank"), _fts("tool_words", "text", "rank")
_names, _firsts = _fts("names_words"), _fts("first_words")
_known = virtual_table("said_words_known", column("term", Text), column("doc"))
_known_names = virtual_table("names_words_known", column("term", Text), column("doc"))

_NAMED = _FIRST = 2_000
_ENOUGH, _PROBED = 50, 400
"""Where so many threads hold all words, no text is asked for one: in a long list of texts that takes 0.1 ms each."""
_COMPLETED = 300
"""How many threads are asked for their other texts."""

# ---------------------------------------------------------------------------------------------- writing


def add(connection: Connection, texts: Iterable[tuple[int, str]], *, tools: bool) -> None:
    """Index the words of numbered texts."""
    rows = ({"rowid": number, "text": " ".join(dict.fromkeys(words_of(text)))} for number, text in texts)
    (_INDEX_TOOLS if tools else _INDEX_SAID).run_each(connection, rows)


_INDEX_SAID, _INDEX_TOOLS = (Prepared(insert(of), ("rowid", "text")) for of in OF_TEXTS)


def forget_all(connection: Connection) -> None:
    for of in (_said, _tools):
        connection.execute(insert(of), {of.name: "delete-all"})


# ---------------------------------------------------------------------------------------------- finding

_Forms = dict[int, int]
"""For each text that holds a word the form in which it does."""


def find(connection: Connection, query: WordQuery) -> WordHits:
    """The texts and names that hold some of the words."""
    if query.names_only:
        return WordHits(tuple(_in_names(connection, query)), (0.0,) * len(query.words))
    indexes = (_said, _tools) if query.tools else (_said,)
    bounds = _bounds(connection, query.thread_id)
    found: list[_Forms] = []
    cut: list[bool] = []
    for forms in query.words:
        texts, more = _texts_with(connection, indexes, forms, bounds, query.newest)
        found.append(texts)
        cut.append(more)
    if any(cut) and query.thread_id is None and (few := few_texts(connection, query.threads)) is not None:
        for n, forms in enumerate(query.words):
            if cut[n]:
                found[n], cut[n] = _texts_with(connection, indexes, forms, bounds, query.newest, few)
            else:
                found[n] = {number: found[n][number] for number in found[n].keys() & few}
        bounds = (1, len(few))
    shares = tuple(_share(texts, bounds, more) for texts, more in zip(found, cut, strict=True))
    numbers, complete = _most_words(found, query)
    threads = _threads_of(connection, query, numbers)
    # A cut list may have left out the few texts that the filters let through.
    if any(cut) and query.thread_id is None and len(threads) < min(_COMPLETED, len(numbers)):
        rarest = min((n for n, more in enumerate(cut) if more), key=lambda n: shares[n])
        threads |= _filtered(connection, query, indexes, query.words[rarest])
    others = _other_texts(connection, query, threads, found)
    if any(cut) and _count_full(found, threads) < _ENOUGH:
        for n, forms in enumerate(query.words):
            if cut[n]:
                oldest = min(found[n])
                settled = {threads[number] for number in found[n] if number in threads}
                rest = [k for k, of in (threads | others).items() if k < oldest and of not in settled]
                looked_for = forms[: 1 + max(found[n].values())]
                found[n].update(_probe(connection, indexes, looked_for, rest[:_PROBED]))
    held = ((number, of, tuple(texts.get(number) for texts in found)) for number, of in (threads | others).items())
    hits = [WordHit(*one) for one in held if any(form is not None for form in one[2])]
    named, first = _in_names(connection, query), _in_first(connection, query, {*threads.values()})
    complete = complete and not any(cut)
    # Where all texts of a word were looked at, so were all threads with this and the others.
    whole = complete or any(
        not more and len(texts) <= query.mapped // 2 for texts, more in zip(found, cut, strict=True)
    )
    return WordHits((*named, *first, *hits), shares, complete, whole)


def _count_full(found: Sequence[_Forms], threads: dict[int, str]) -> int:
    """How many threads hold all words."""
    each = ({threads[number] for number in texts if number in threads} for texts in found)
    return len(set[str].intersection(*each))


def _match(word: str) -> str:
    return f'"{word[:-1]}" *' if word.endswith("*") else f'"{word}"'


_Bounds = tuple[int, int]


def _bounds(connection: Connection, thread_id: str | None) -> _Bounds:
    """The least and the greatest number of a text, of one thread or of all."""
    if thread_id is None:
        least, most = (ends.scalars(connection)[0] or 0 for ends in _ENDS)
    else:
        least, most = _ENDS_OF_THREAD.all(connection, {"thread_id": thread_id})[0]
    return (1, 0) if least is None else (least, most)


# Two statements: SQLite looks at both ends of a table only if it is asked for one at a time.
_ENDS = [Prepared(select(end(_texts.c.number))) for end in (func.min, func.max)]
_HISTORY = select(_histories.c.number).where(_histories.c.thread_id == bindparam("thread_id")).scalar_subquery()
_ENDS_OF_THREAD = Prepared(
    select(func.min(_texts.c.number), func.max(_texts.c.number)).where(_texts.c.history == _HISTORY)
)


@lru_cache
def _newest(index: TableClause, *, of_few: bool) -> Prepared:
    rowid = index.c.rowid
    matches = index.c[index.name].op("MATCH")(bindparam("match", type_=Text))
    within = rowid.between(bindparam("least"), bindparam("most"))
    wanted = [matches, within, *([among_few(rowid)] if of_few else [])]
    newest = select(rowid).where(*wanted).order_by(rowid.desc()).limit(bindparam("limit")).subquery()
    # One row for all: SQLAlchemy takes longer to make rows than SQLite to find them.
    return Prepared(select(func.json_group_array(newest.c.rowid)))


def _texts_with(
    connection: Connection,
    indexes: Sequence[TableClause],
    forms: WordForms,
    bounds: _Bounds,
    most: int,
    few: Sequence[int] | None = None,
) -> tuple[_Forms, bool]:
    """The newest texts that hold a word, of all or of a `few`, and whether there are older ones. A worse form is looked
    for only where a better one is not in too many texts, or among a few in none: the list of all words that begin as a
    common one is long, and takes SQLite ten times as long as that of the word."""
    found: _Forms = {}
    values = {"least": bounds[0], "most": bounds[1], "limit": most, "few": few}
    for form, word in enumerate(forms):
        if few is not None and (found or not few):
            break
        for index in indexes:
            statement = _newest(index, of_few=few is not None)
            numbers: list[int] = from_json(statement.scalars(connection, values | {"match": _match(word)})[0])
            found = dict.fromkeys(numbers, form) | found
        if len(found) >= most:
            return found, True
    return found, False


def _share(texts: _Forms, bounds: _Bounds, cut: bool) -> float:
    least = min(texts) if cut else bounds[0]
    return len(texts) / max(1, bounds[1] - least + 1)


def _most_words(found: Sequence[_Forms], query: WordQuery) -> tuple[list[int], bool]:
    """The texts to look at: those that hold most of the words, and of these the newest; with them the newest of the
    rarest word."""
    counted = Counter(chain.from_iterable(found))
    if len(counted) <= query.mapped:
        return sorted(counted, reverse=True), True
    rarest = min(found, key=lambda texts: len(texts) or query.newest)
    chosen = dict.fromkeys(sorted(rarest, reverse=True)[: query.mapped // 2])
    for count in range(len(found), 0, -1):
        if len(chosen) >= query.mapped:
            break
        alike = sorted((number for number, n in counted.items() if n == count), reverse=True)
        chosen |= dict.fromkeys(alike[: query.mapped - len(chosen)])
    return list(chosen), False


@lru_cache
def _threads_at(shape: ThreadQuery, *, of_thread: bool) -> Prepared:
    numbers = listed("numbers").subquery()
    conditions = [_threads.c.id == bindparam("thread_id")] if of_thread else filters_of(shape)
    return Prepared(
        select(_texts.c.number, _threads.c.id)
        .select_from(
            numbers.join(_texts, _texts.c.number == numbers.c.id)
            .join(_histories, _histories.c.number == _texts.c.history)
            .join(_threads, _threads.c.id == _histories.c.thread_id)
        )
        .where(*conditions)
    )


def _threads_of(connection: Connection, query: WordQuery, numbers: Sequence[int]) -> dict[int, str]:
    """The threads of texts, those that the filters let through."""
    if not numbers:
        return {}
    statement = _threads_at(shape_of(query.threads), of_thread=query.thread_id is not None)
    values = values_of(query.threads) | {"numbers": list(numbers), "thread_id": query.thread_id}
    return dict(statement.all(connection, values))


@lru_cache
def _filtered_with(index: TableClause, shape: ThreadQuery) -> Prepared:
    matches = index.c[index.name].op("MATCH")(bindparam("match", type_=Text))
    return Prepared(
        select(_texts.c.number, _threads.c.id)
        .select_from(
            index.join(_texts, _texts.c.number == index.c.rowid)
            .join(_histories, _histories.c.number == _texts.c.history)
            .join(_threads, _threads.c.id == _histories.c.thread_id)
        )
        .where(matches, *filters_of(shape))
        .order_by(index.c.rowid.desc())
        .limit(bindparam("most"))
    )


def _filtered(
    connection: Connection, query: WordQuery, indexes: Sequence[TableClause], forms: WordForms
) -> dict[int, str]:
    """The newest texts with a word that the filters let through, out of all that hold it. A worse form is looked for
    only where a better one is in few."""
    found: dict[int, str] = {}
    values = values_of(query.threads) | {"most": query.mapped // 2}
    for word in forms:
        for index in indexes:
            statement = _filtered_with(index, shape_of(query.threads))
            found |= dict(statement.all(connection, values | {"match": _match(word)}))
        if len(found) >= query.mapped // 2:
            break
    return found


_OF_THREADS = Prepared(
    select(_texts.c.number, _histories.c.thread_id).select_from(
        (ids := listed("ids").subquery())
        .join(_histories, _histories.c.thread_id == ids.c.id)
        .join(_texts, _texts.c.history == _histories.c.number)
    )
)


def _other_texts(
    connection: Connection, query: WordQuery, threads: dict[int, str], found: Sequence[_Forms]
) -> dict[int, str]:
    """The other texts of those threads that hold most of the words so far, the newest first."""
    if len(query.words) < 2 or len(threads) == len(set[int]().union(*found)):
        return {}
    held: dict[str, set[int]] = {}
    for number, thread_id in threads.items():
        held.setdefault(thread_id, set()).update(n for n, texts in enumerate(found) if number in texts)
    best = sorted(held, key=lambda thread_id: -len(held[thread_id]))[:_COMPLETED]
    rows = _OF_THREADS.all(connection, {"ids": best})
    return {number: thread_id for number, thread_id in rows if number not in threads}


@lru_cache
def _probed(index: TableClause) -> Prepared:
    matches = index.c[index.name].op("MATCH")(bindparam("match", type_=Text))
    return Prepared(select(index.c.rowid).where(matches, index.c.rowid.in_(listed("numbers"))))


def _probe(connection: Connection, indexes: Sequence[TableClause], forms: WordForms, numbers: Sequence[int]) -> _Forms:
    """Which of these texts hold a word."""
    found: _Forms = {}
    for form, word in enumerate(forms):
        for index in indexes:
            rest = [number for number in numbers if number not in found]
            if rest:
                rows = _probed(index).scalars(connection, {"match": _match(word), "numbers": rest})
                found |= dict.fromkeys(rows, form)
    return found


@lru_cache
def _named(shape: ThreadQuery, *, of_thread: bool) -> Prepared:
    conditions = [_threads.c.id == bindparam("thread_id")] if of_thread else filters_of(shape)
    matches = _names.c[_names.name].op("MATCH")(bindparam("match", type_=Text))
    return Prepared(
        select(_threads.c.id)
        .select_from(_names.join(_threads, _threads.c.number == _names.c.rowid))
        .where(matches, *conditions)
        .order_by(_names.c.rowid.desc())
        .limit(bindparam("most"))
    )


def _in_names(connection: Connection, query: WordQuery) -> list[WordHit]:
    """The threads whose names hold words."""
    statement = _named(shape_of(query.threads), of_thread=query.thread_id is not None)
    values = values_of(query.threads) | {"thread_id": query.thread_id, "most": _NAMED}
    found: dict[str, list[int | None]] = {}
    for n, forms in enumerate(query.words):
        for form, word in reversed(list(enumerate(forms))):
            for thread_id in statement.scalars(connection, values | {"match": _match(word)}):
                found.setdefault(thread_id, [None] * len(query.words))[n] = form
    return [WordHit(None, thread_id, tuple(forms)) for thread_id, forms in found.items()]


_NUMBERS = Prepared(select(_threads.c.number, _threads.c.id).where(_threads.c.id.in_(listed("ids"))))


def _first_end(*, last: bool) -> Prepared:
    rowid = _firsts.c.rowid
    matches = _firsts.c[_firsts.name].op("MATCH")(bindparam("match", type_=Text))
    few = select(rowid).where(matches).order_by(rowid.desc() if last else rowid).limit(bindparam("most")).subquery()
    wanted = func.json_group_array(few.c.rowid).filter(among(few.c.rowid, "numbers"))
    return Prepared(select(wanted, func.count()).select_from(few))


_FIRST_ENDS = [_first_end(last=last) for last in (False, True)]


def _in_first(connection: Connection, query: WordQuery, thread_ids: Collection[str]) -> list[WordHit]:
    """Which of these threads have words in their first messages."""
    numbers: dict[int, str] = dict(_NUMBERS.all(connection, {"ids": list(thread_ids)}))
    wanted = list(numbers)
    found: dict[int, list[int | None]] = {}
    for n, forms in enumerate(query.words):
        for form, word in enumerate(forms):
            # Rows that are there from the beginning have the least numbers for the newest threads, later ones the
            # greatest. SQLite would take long to find the middle of a long list.
            count = 0
            for ends in _FIRST_ENDS:
                values = {"match": _match(word), "most": _FIRST, "numbers": wanted}
                ((threads, count),) = ends.all(connection, values)
                for number in from_json(threads):
                    held = found.setdefault(number, [None] * len(query.words))
                    held[n] = form if held[n] is None else held[n]
                if count < _FIRST:
                    break  # these are all
            if count >= _FIRST:
                break
    return [WordHit(None, numbers[number], tuple(forms), first=True) for number, forms in found.items()]


# ---------------------------------------------------------------------------------------------- places


def places_at(connection: Connection, numbers: Sequence[int]) -> list[TextPlace]:
    """The places of texts, as they are asked for."""
    rows = {row.text: row for row in _AT.named(connection, {"numbers": list(numbers)})}
    found = [rows[number] for number in numbers if number in rows]
    of = {row.thread: None for row in found}
    threads = dict(zip(of, get_numbered(connection, list(of)), strict=True))
    return [
        TextPlace(row.text, threads[row.thread], None if row[0] is None else turn_of(row), row.start_, row.end_)
        for row in found
    ]


def _places_at() -> AnySelect:
    numbers = listed("numbers").subquery()
    columns = {"text": _texts.c.number, "thread": _threads.c.number, "start_": _texts.c.start, "end_": _texts.c.end}
    of_text = (_turns.c.history == _texts.c.history) & (_turns.c.start == _texts.c.turn)
    return (
        select(*TURN_COLUMNS, *(one.label(name) for name, one in columns.items()))
        .select_from(
            numbers.join(_texts, _texts.c.number == numbers.c.id)
            .join(_histories, _histories.c.number == _texts.c.history)
            .join(_threads, _threads.c.id == _histories.c.thread_id)
            .outerjoin(_turns, of_text)
        )
        # Without statistics SQLite would look through all turns of the thread.
        .with_hint(_turns, "INDEXED BY ix_turns_start", "sqlite")
    )


_AT = Prepared(_places_at())

# ---------------------------------------------------------------------------------------------- words that are like one

_ALIKE = 5_000


def words_like(connection: Connection, word: str) -> list[str]:
    """Words of messages and names that begin as this one does: candidates for what was meant."""
    least: BindParameter[Any] = bindparam("least")
    found: list[str] = []
    for known in (_known_names, _known):
        within = known.c.term.between(least, bindparam("most"))
        statement = select(known.c.term).where(within).limit(_ALIKE)
        start = word[:2]
        found += connection.scalars(statement, {"least": start, "most": start + "\U0010ffff"})
    return found
