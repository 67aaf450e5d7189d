"""Lists and their counts, at a cost that does not grow with the number of threads.

Rows fall into groups (archived, source, provider, cwd, ...), and `thread_counts` holds the size of each. So a list
merges one walk for each group that fits, along an index that has the rows of the group in order, and ends after a page.
Some queries name so few rows that the list examines all of them instead, once for the page and its counts: the threads
below another, attached to another or named by their ids, those that may hold a rare term, and those with a name or a
rare state of their last turn.

A statement depends on which filters a query has, not on their values. So it is compiled once for each shape of queries,
and its parameters have names: a merge of ten walks then takes 0.1 ms, and 1 ms if it is compiled each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple, cast

from sqlalchemy import (
    BindParameter,
    Boolean,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Select,
    String,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    null,
    or_,
    select,
    tuple_,
    type_coerce,
    union_all,
)

from mcp_server.models.cwd import canonical_cwd
from mcp_server.models.number import clamped
from mcp_server.models.thread import TurnState
from mcp_server.storage.query import COUNTED, Anchor, Count, Grouped, ThreadQuery, ThreadRows, fits_group
from mcp_server.storage.sql.prepared import Prepared
from mcp_server.storage.sql.rows import AnyUnion, among, contains, listed, table
from mcp_server.storage.sql.tables import GROUP, CwdRow, SpawnEdgeRow, ThreadCountRow, ThreadRow
from mcp_server.storage.sql.threads import get_numbered, ids_below

_threads, _edges, _cwds, _counts = table(ThreadRow), table(SpawnEdgeRow), table(CwdRow), table(ThreadCountRow)

# ---------------------------------------------------------------------------------------------- filters

Conditions = list[ColumnElement[bool]]

_AFTER_SLASH = chr(ord("/") + 1)
_STATUS_OF: dict[TurnState, str] = {"running": "inProgress", "crashed": "inProgress"}
"""What rows have for the states that depend on who holds the thread."""


def in_group(query: ThreadQuery, rows: FromClause = _threads) -> Conditions:
    """The filters of `fits_group`."""
    conditions = [
        rows.c[name] == bindparam(name)
        for name, wanted in (
            ("archived", query.archived),
            ("has_preview", query.with_preview),
            ("attached", query.attached),
        )
        if wanted is not None
    ]
    if query.source_kinds is not None:
        conditions.append(among(rows.c.source_kind, "source_kinds"))
    if query.model_providers is not None:
        conditions.append(among(rows.c.model_provider, "model_providers"))
    return conditions


def in_cwds(query: ThreadQuery, rows: FromClause = _threads) -> Conditions:
    """The working directory, in every spelling that some row has, or one below it."""
    if query.cwds is None:
        return []
    asked = listed("places").subquery("asked")
    folder = func.rtrim(asked.c.id, "/", type_=String)
    # Without statistics SQLite might go through all working directories for each folder.
    spelled = select(_cwds.c.cwd).with_hint(_cwds, "INDEXED BY ix_cwds_place", "sqlite")
    itself = spelled.select_from(asked.join(_cwds, _cwds.c.place == asked.c.id))
    below = spelled.select_from(
        asked.join(_cwds, and_(asked.c.id != "", _cwds.c.place > folder + "/", _cwds.c.place < folder + _AFTER_SLASH))
    )
    return [rows.c.cwd.in_(union_all(itself, below))]


def in_state(query: ThreadQuery) -> Conditions:
    """Whether there is a name, and how the last turn stands."""
    conditions = Conditions()
    if query.named is not None:
        conditions.append(_threads.c.name.is_not(None) == bindparam("is_named", type_=Boolean))
    if query.last_turns is not None:
        running: ColumnElement[Any] = among(_threads.c.id, "held")
        state = case(
            (_threads.c.last_status != "inProgress", _threads.c.last_status), (running, "running"), else_="crashed"
        )
        conditions += [among(_threads.c.last_status, "statuses"), among(state, "last_turns")]
    return conditions


def in_time(query: ThreadQuery) -> Conditions:
    """Bounds of the sort key."""
    key, conditions = _key(query), Conditions()
    if query.since_ms is not None:
        conditions.append(key >= bindparam("since_ms"))
    if query.until_ms is not None:
        conditions.append(key <= bindparam("until_ms"))
    return conditions


def in_tree(query: ThreadQuery) -> Conditions:
    """The parent, the thread that others are attached to, those that others were forked from, and the ids."""
    conditions = Conditions()
    if query.parent_id is not None:
        children = select(_edges.c.child_id).where(_edges.c.parent_id == bindparam("parent_id"))
        conditions.append(_threads.c.id.in_(children))
    if query.attached_to_id is not None:
        conditions.append(_threads.c.attached_to_id == bindparam("attached_to_id"))
    if query.forked_from is not None:
        conditions.append(among(_threads.c.forked_from_id, "forked_from"))
    if query.ids is not None:
        conditions.append(among(_threads.c.id, "ids"))
    return conditions


def below_ancestor(query: ThreadQuery) -> Conditions:
    """The threads below another, at whatever depth."""
    return [] if query.ancestor_id is None else [_threads.c.id.in_(ids_below("ancestor_id"))]


def filters_of(query: ThreadQuery) -> Conditions:
    """The filters of a query, but for its term and its anchor; its time is that of the last change."""
    when = in_time(replace(query, sort_key="updated_at"))
    return [*in_group(query), *in_cwds(query), *when, *in_state(query), *in_tree(query), *below_ancestor(query)]


def holds_term(query: ThreadQuery) -> Conditions:
    """The term, in name or preview."""
    if query.search_term is None:
        return []
    term: BindParameter[Any] = bindparam("search_term")
    return [or_(contains(_threads.c.name, term), contains(_threads.c.preview, term))]


def beyond_anchor(query: ThreadQuery, rows: FromClause = _threads) -> Conditions:
    """The filter of `beyond`: what comes after the anchor."""
    if query.after is None:
        return []
    place: ColumnElement[Any] = _key(query, rows)
    at: ColumnElement[Any] = bindparam("after_ms")
    if query.after.thread_id is not None:
        place, at = tuple_(place, rows.c.id), tuple_(at, bindparam("after_id"))
    return [place < at if query.direction == "desc" else place > at]


def _key(query: ThreadQuery, rows: FromClause = _threads) -> ColumnElement[Any]:
    return rows.c[f"{query.sort_key}_ms"]


def values_of(query: ThreadQuery) -> dict[str, Any]:
    """The values of the parameters that the conditions name."""
    return {
        "archived": query.archived,
        "has_preview": query.with_preview,
        "attached": query.attached,
        "source_kinds": _list(query.source_kinds),
        "model_providers": _list(query.model_providers),
        "places": _list(map(canonical_cwd, query.cwds or ())),
        "since_ms": clamped(query.since_ms or 0),
        "until_ms": clamped(query.until_ms or 0),
        "parent_id": query.parent_id,
        "attached_to_id": query.attached_to_id,
        "forked_from": _list(query.forked_from),
        "ids": _list(query.ids),
        "is_named": query.named,
        "last_turns": _list(query.last_turns),
        "statuses": sorted({_STATUS_OF.get(state, state) for state in query.last_turns or ()}),
        "held": _list(query.held),
        "ancestor_id": query.ancestor_id,
        "search_term": query.search_term,
        "after_ms": clamped(query.after.at_ms) if query.after else None,
        "after_id": query.after and query.after.thread_id,
        "limit": query.limit + 1,
    }


def _list(values: Iterable[str] | None) -> list[str]:
    """The values without those that have a NUL: SQLite would cut them there, and no row has one."""
    return [value for value in values or () if "\0" not in value]


def shape_of(query: ThreadQuery) -> ThreadQuery:
    """The query with its filters, but without their values."""
    after = query.after and Anchor(0, None if query.after.thread_id is None else "")
    return ThreadQuery(
        archived=None if query.archived is None else False,
        with_preview=None if query.with_preview is None else False,
        attached=None if query.attached is None else False,
        source_kinds=None if query.source_kinds is None else (),
        model_providers=None if query.model_providers is None else (),
        cwds=None if query.cwds is None else (),
        search_term=None if query.search_term is None else "",
        parent_id=None if query.parent_id is None else "",
        ancestor_id=None if query.ancestor_id is None else "",
        attached_to_id=None if query.attached_to_id is None else "",
        forked_from=None if query.forked_from is None else (),
        ids=None if query.ids is None else (),
        named=None if query.named is None else False,
        last_turns=None if query.last_turns is None else (),
        since_ms=None if query.since_ms is None else 0,
        until_ms=None if query.until_ms is None else 0,
        sort_key=query.sort_key,
        direction=query.direction,
        after=after,
    )


def cwds(connection: Connection) -> dict[str, int]:
    """The working directories of all rows, each with the number of its rows."""
    return dict(connection.execute(select(_counts.c.cwd, func.sum(_counts.c.n)).group_by(_counts.c.cwd)).all())


# ---------------------------------------------------------------------------------------------- groups

_ARMS = 100  # SQLite joins at most 500 SELECTs, and binds at most 999 values in old versions


_Groups = list[Any]
"""Rows of `thread_counts`, summed: what the rows of a group have in common, and their number `n`. The cwd is left out
unless a query asks for some."""


def _groups_of(connection: Connection, queries: Sequence[ThreadQuery]) -> list[_Groups]:
    """For each query the groups that fit it. All queries name the same cwds."""
    by_cwd = queries[0].cwds is not None
    groups = _groups(by_cwd=by_cwd).named(connection, values_of(queries[0]))
    return [[group for group in groups if fits_group(cast("Grouped", group), query)] for query in queries]


@lru_cache
def _groups(*, by_cwd: bool) -> Prepared:
    shape = ThreadQuery(cwds=() if by_cwd else None)
    columns = [_counts.c[name] for name in _grouped_by(shape)]
    total = func.sum(_counts.c.n).label("n")
    return Prepared(select(*columns, total).where(*in_cwds(shape, _counts)).group_by(*columns))


def _grouped_by(query: ThreadQuery) -> tuple[str, ...]:
    return GROUP if query.cwds is None else (*GROUP, "cwd")


class _Arms(NamedTuple):
    """The walks of a statement, one for each group. `wide` groups are of any cwd, so that the cwd of each
    row is examined."""

    number: int
    wide: bool

    def named(self, shape: ThreadQuery) -> tuple[str, ...]:
        return GROUP if self.wide else _grouped_by(shape)


def _rows_of(arms: _Arms, shape: ThreadQuery, *columns: ColumnElement[Any], bounded: bool) -> AnyUnion:
    """The rows of these groups that fit queries of a shape; if `bounded`, only those after the anchor."""
    names = arms.named(shape)
    # Without statistics, SQLite may choose the index that begins with fewer of these columns.
    index = f"ix_threads_{'cwd_' if 'cwd' in names else ''}{shape.sort_key.removesuffix('_at')}"
    rows = select(*columns).with_hint(_threads, f"INDEXED BY {index}", "sqlite")
    rows = rows.where(*in_time(shape), *(beyond_anchor(shape) if bounded else []), *holds_term(shape), *in_state(shape))
    if arms.wide:
        rows = rows.where(*in_cwds(shape))
    groups = [[_threads.c[name] == bindparam(f"{name}_{n}") for name in names] for n in range(arms.number)]
    return union_all(*(rows.where(*group) for group in groups))


@lru_cache
def _walk_of(shape: ThreadQuery, arms: _Arms) -> Prepared:
    """Sort key, id and number of the rows of a page, in order."""
    key = _key(shape)
    walk = _rows_of(arms, shape, key, _threads.c.id, _threads.c.number, bounded=True)
    order = [column.desc() if shape.direction == "desc" else column.asc() for column in (key, _threads.c.id)]
    return Prepared(walk.order_by(*order).limit(bindparam("limit")))


@lru_cache
def _count_of(shape: ThreadQuery, arms: _Arms) -> Prepared:
    rows = _rows_of(arms, shape, literal_column("1", Integer).label("one"), bounded=False).limit(COUNTED + 1)
    return Prepared(select(func.count()).select_from(rows.subquery("few")))


def _merged(
    connection: Connection,
    statement: Callable[[ThreadQuery, _Arms], Prepared],
    query: ThreadQuery,
    groups: _Groups,
) -> list[Any]:
    """The rows of the statement that merges the walks of the groups; of several statements if there are many groups."""
    found: list[Any] = []
    wide = query.cwds is not None and len(groups) > _ARMS
    if wide:  # each of very many folders has few rows, and together they have so many that a walk soon meets one
        groups = list({tuple(getattr(group, name) for name in GROUP): group for group in groups}.values())
    for start in range(0, len(groups), _ARMS):
        arms = _Arms(len(part := groups[start : start + _ARMS]), wide)
        values = values_of(query)
        for n, group in enumerate(part):
            values |= {f"{name}_{n}": getattr(group, name) for name in arms.named(query)}
        found += statement(shape_of(query), arms).all(connection, values)
    return found


def _walk(connection: Connection, query: ThreadQuery, groups: _Groups) -> list[int]:
    """The numbers of the page's rows and of the one that follows."""
    found = _merged(connection, _walk_of, query, groups)
    if len(groups) > _ARMS:
        found.sort(key=lambda row: (row[0], row[1]), reverse=query.direction == "desc")
    return [number for _, _, number in found[: query.limit + 1]]


def _count(connection: Connection, query: ThreadQuery, groups: _Groups) -> Count:
    looked_at = query.since_ms, query.until_ms, query.search_term, query.named, query.last_turns
    if all(one is None for one in looked_at):
        return Count(sum(group.n for group in groups))
    seen = sum(n for (n,) in _merged(connection, _count_of, query, groups))
    return Count(min(seen, COUNTED), minimum=seen > COUNTED)


# ---------------------------------------------------------------------------------------------- few rows

_EXAMINED = 4_000  # rows that are all examined where an index has them: 2 ms a thousand
_SAMPLED = 100  # a minimum is counted from so many rows if more than COUNTED may fit


class TermIndex(NamedTuple):
    """How a dialect finds rows that may hold a term; the rows then confirm it."""

    rows: Select[tuple[int]]
    """The numbers of such rows. Its parameters are `match`, the `grams` of the term, and `most`, the limit."""
    grams: Callable[[str], str | None]
    """None for a term that the index can't search for."""


Source = Literal["tree", "term", "last_turns", "names", "threads"]


class _Few(NamedTuple):
    """The few rows that a query names: where to find them, with which values, and whether these are all of them."""

    source: Source
    values: dict[str, Any]
    all: bool = True


def _some_in(index: str, condition: ColumnElement[bool]) -> Select[tuple[int]]:
    some = select(_threads.c.number).with_hint(_threads, f"INDEXED BY {index}", "sqlite")
    return some.where(condition).limit(bindparam("most"))


_NUMBERS: dict[Source, Select[tuple[int]]] = {
    "last_turns": _some_in("ix_threads_last_status", among(_threads.c.last_status, "statuses")),
    "names": _some_in("ix_threads_name", _threads.c.name >= ""),
}
_COUNT_OF_SOURCE = {
    source: Prepared(select(func.count()).select_from(some.subquery("few"))) for source, some in _NUMBERS.items()
}


def _has_few(connection: Connection, source: Source, query: ThreadQuery) -> bool:
    values = {"statuses": values_of(query)["statuses"], "most": _EXAMINED + 1}
    return sum(_COUNT_OF_SOURCE[source].scalars(connection, values)) <= _EXAMINED


class ThreadLists:
    """Pages of threads, and how many there are, with the term index of one dialect."""

    def __init__(self, terms: TermIndex) -> None:
        self._terms = terms
        self._holding = terms.rows.subquery("holding")
        self._look_of = lru_cache(self._look_statement)
        self._count_holding = Prepared(select(func.count()).select_from(self._holding))

    def page(
        self,
        connection: Connection,
        query: ThreadQuery,
        beside: Sequence[ThreadQuery] = (),
    ) -> ThreadRows:
        """One page, and the counts of the queries `beside` it; one statement finds both if they name the same rows."""
        few = self._few(connection, query)
        alike = [_named(other) == _named(query) for other in beside]
        together = [query, *(other for other, is_alike in zip(beside, alike, strict=True) if is_alike)]
        if few is None:
            groups = _groups_of(connection, together)
            totals = [_count(connection, one, fitting) for one, fitting in zip(together, groups, strict=True)]
            numbers = _walk(connection, query, groups[0])
        else:
            found, numbers = self._look(connection, few, query, query.limit + 1 if few.all else 0)
            totals = [Count(_fitting(one, found), minimum=not few.all) for one in together]
            if not few.all:
                numbers = _walk(connection, query, _groups_of(connection, [query])[0])
                totals[0] = Count(max(totals[0].n, len(numbers)), minimum=True)
        told = iter(totals[1:])
        apart = [other for other, is_alike in zip(beside, alike, strict=True) if not is_alike]
        rest = iter(self.counts(connection, apart))
        page = get_numbered(connection, numbers[: query.limit])
        return ThreadRows(
            tuple(page),
            total=totals[0],
            more=len(numbers) > query.limit,
            beside=tuple(next(told if is_alike else rest) for is_alike in alike),
        )

    def counts(self, connection: Connection, queries: Sequence[ThreadQuery]) -> list[Count]:
        """How many rows fit each query."""
        found: list[Count] = []
        for query in queries:
            few = self._few(connection, query)
            if few is None:
                found.append(_count(connection, query, _groups_of(connection, [query])[0]))
            else:
                groups, _ = self._look(connection, few, query, 0)
                found.append(Count(_fitting(query, groups), minimum=not few.all))
        return found

    def _few(self, connection: Connection, query: ThreadQuery) -> _Few | None:
        """None for a query that names no rows."""
        if query.ancestor_id is not None:
            return _Few("tree", {})
        if (query.parent_id, query.attached_to_id, query.forked_from, query.ids) != (None,) * 4:
            return _Few("threads", {})
        grams = None if query.search_term is None else self._terms.grams(query.search_term)
        if grams is not None:
            (holding,) = self._count_holding.scalars(connection, {"match": grams, "most": COUNTED + 1})
            complete = holding <= COUNTED
            return _Few("term", {"match": grams, "most": COUNTED if complete else _SAMPLED}, complete)
        if query.last_turns is not None and _has_few(connection, "last_turns", query):
            return _Few("last_turns", {"most": _EXAMINED})
        if query.named and _has_few(connection, "names", query):
            return _Few("names", {"most": _EXAMINED})
        return None

    def _look(self, connection: Connection, few: _Few, query: ThreadQuery, limit: int) -> tuple[_Groups, list[int]]:
        """The groups of the few rows, without rows that the cwds or the time exclude; and the numbers of the first
        `limit` rows that fit the query."""
        statement = self._look_of(shape_of(query), few.source)
        found = statement.named(connection, values_of(query) | few.values | {"limit": limit})
        rows = sorted((row[:3] for row in found if row.n is None), reverse=query.direction == "desc")
        return [row for row in found if row.n is not None], [number for _, _, number in rows]

    def _look_statement(self, shape: ThreadQuery, source: Source) -> Prepared:
        """In one statement, for which SQLite finds the rows once (from 3.35 on): first the groups with their counts,
        then the rows of the page, with NULL for a count."""
        found = select(_key(shape), _threads.c.id, _threads.c.number, *(_threads.c[name] for name in GROUP))
        conditions = [*in_tree(shape), *holds_term(shape), *in_cwds(shape), *in_time(shape), *in_state(shape)]
        few = found.select_from(self._source(source)).where(*conditions).cte("few")
        groups = [few.c[name] for name in GROUP]
        # Groups and rows share the same columns. Declared as integers, values pass through unconverted.
        counted = select(*(type_coerce(group, Integer).label(group.name) for group in groups), func.count().label("n"))
        padding = [null()] * (len(groups) - 2)
        place = [_key(shape, few), few.c.id]
        page = (
            select(*place, few.c.number, *padding)
            .where(*in_group(shape, few), *beyond_anchor(shape, few))
            .order_by(*(column.desc() if shape.direction == "desc" else column.asc() for column in place))
            .limit(bindparam("limit"))
        )
        return Prepared(union_all(counted.group_by(*groups), select(page.subquery("page"))))

    def _source(self, source: Source) -> FromClause:
        if source == "tree":  # faster than a search for each id of a list
            below = ids_below("ancestor_id").subquery("below")
            return below.join(_threads, _threads.c.id == below.c.id)
        if source in _NUMBERS:
            some = _NUMBERS[source].subquery("some")
            return some.join(_threads, _threads.c.number == some.c.number)
        if source == "term":
            return self._holding.join(_threads, _threads.c.number == self._holding.c.number)
        return _threads


def _named(query: ThreadQuery) -> tuple[Any, ...]:
    """The parts of a query that decide which rows are examined for it."""
    rows = query.parent_id, query.ancestor_id, query.attached_to_id, query.forked_from, query.ids
    state = query.named, query.last_turns, query.held
    return query.search_term, *rows, *state, query.cwds, query.sort_key, query.since_ms, query.until_ms


def _fitting(query: ThreadQuery, groups: _Groups) -> int:
    """How many rows of these groups fit the query."""
    return sum(group.n for group in groups if fits_group(cast("Grouped", group), query))
