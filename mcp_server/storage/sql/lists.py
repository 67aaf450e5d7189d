"""Lists and their counts, at a cost that does not grow with the number of threads.

Rows fall into groups (archived, source, provider, cwd, ...), and `thread_counts` holds the size of each. So a list
merges one walk for each group that fits, along an index that has the rows of the group in order, and ends after a page.
Some queries name so few rows that it looks at all of them instead, once for the page and its counts: the threads below
another, attached to another or named by their ids, and those that may hold a rare term.

A statement depends on which filters a query has, not on their values. So it is made once for each shape of queries, and
its parameters have names: a merge of ten walks takes 0.1 ms so, and 1 ms if it is made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple, cast

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Select,
    bindparam,
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
from mcp_server.storage.query import COUNTED, Anchor, Count, Grouped, ThreadQuery, ThreadRows, fits_group
from mcp_server.storage.sql.prepared import Prepared
from mcp_server.storage.sql.rows import AnyUnion, among, contains, table
from mcp_server.storage.sql.tables import GROUP, CwdRow, SpawnEdgeRow, ThreadCountRow, ThreadRow
from mcp_server.storage.sql.threads import get_numbered, ids_below

_threads, _edges, _cwds, _counts = table(ThreadRow), table(SpawnEdgeRow), table(CwdRow), table(ThreadCountRow)

# ---------------------------------------------------------------------------------------------- filters

Conditions = list[ColumnElement[bool]]


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
    """The working directory, in every spelling that some row has."""
    if query.cwds is None:
        return []
    return [rows.c.cwd.in_(select(_cwds.c.cwd).where(among(_cwds.c.place, "places")))]


def in_time(query: ThreadQuery) -> Conditions:
    """Bounds of the sort key."""
    key, conditions = _key(query), Conditions()
    if query.since_ms is not None:
        conditions.append(key >= bindparam("since_ms"))
    if query.until_ms is not None:
        conditions.append(key <= bindparam("until_ms"))
    return conditions


def in_tree(query: ThreadQuery) -> Conditions:
    """The parent, the thread that others are attached to, and the ids."""
    conditions = Conditions()
    if query.parent_id is not None:
        children = select(_edges.c.child_id).where(_edges.c.parent_id == bindparam("parent_id"))
        conditions.append(_threads.c.id.in_(children))
    if query.attached_to_id is not None:
        conditions.append(_threads.c.attached_to_id == bindparam("attached_to_id"))
    if query.ids is not None:
        conditions.append(among(_threads.c.id, "ids"))
    return conditions


def below_ancestor(query: ThreadQuery) -> Conditions:
    """The threads below another, at whatever depth."""
    return [] if query.ancestor_id is None else [_threads.c.id.in_(ids_below("ancestor_id"))]


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
        "ids": _list(query.ids),
        "ancestor_id": query.ancestor_id,
        "search_term": query.search_term,
        "after_ms": clamped(query.after.at_ms) if query.after else None,
        "after_id": query.after and query.after.thread_id,
        "limit": query.limit + 1,
    }


def _list(values: Iterable[str] | None) -> list[str]:
    """SQLite would end a value of a JSON list at a NUL; no row has one."""
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
        ids=None if query.ids is None else (),
        since_ms=None if query.since_ms is None else 0,
        until_ms=None if query.until_ms is None else 0,
        sort_key=query.sort_key,
        direction=query.direction,
        after=after,
    )


# ---------------------------------------------------------------------------------------------- groups

_ARMS = 100  # SQLite joins at most 500 SELECTs, and binds at most 999 values in old versions


_Groups = list[Any]
"""Rows of `thread_counts`, summed: what the rows of a group have in common, and their number `n`. The cwd is left out
unless a query asks for some."""


def _groups_of(connection: Connection, queries: Sequence[ThreadQuery]) -> list[_Groups]:
    """For each query the groups that fit. The queries ask for the same cwds."""
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


def _arms(shape: ThreadQuery, number: int, *columns: ColumnElement[Any], bounded: bool) -> AnyUnion:
    """The rows of as many groups that queries of a shape let through, from the anchor on if `bounded`."""
    # Without statistics SQLite may take the index that begins with fewer columns.
    index = f"ix_threads_{'' if shape.cwds is None else 'cwd_'}{shape.sort_key.removesuffix('_at')}"
    rows = select(*columns).with_hint(_threads, f"INDEXED BY {index}", "sqlite")
    rows = rows.where(*in_time(shape), *(beyond_anchor(shape) if bounded else []), *holds_term(shape))
    groups = [[_threads.c[name] == bindparam(f"{name}_{n}") for name in _grouped_by(shape)] for n in range(number)]
    return union_all(*(rows.where(*group) for group in groups))


@lru_cache
def _walk_of(shape: ThreadQuery, arms: int) -> Prepared:
    """Sort key, id and number of the rows of a page, in order."""
    key = _key(shape)
    walk = _arms(shape, arms, key, _threads.c.id, _threads.c.number, bounded=True)
    order = [column.desc() if shape.direction == "desc" else column.asc() for column in (key, _threads.c.id)]
    return Prepared(walk.order_by(*order).limit(bindparam("limit")))


@lru_cache
def _count_of(shape: ThreadQuery, arms: int) -> Prepared:
    rows = _arms(shape, arms, literal_column("1", Integer).label("one"), bounded=False).limit(COUNTED + 1)
    return Prepared(select(func.count()).select_from(rows.subquery("few")))


def _merged(
    connection: Connection,
    statement: Callable[[ThreadQuery, int], Prepared],
    query: ThreadQuery,
    groups: _Groups,
) -> list[Any]:
    """What the statement finds that merges the walks of the groups; of several, if the groups are many."""
    found: list[Any] = []
    for start in range(0, len(groups), _ARMS):
        part = groups[start : start + _ARMS]
        values = values_of(query)
        for n, group in enumerate(part):
            values |= {f"{name}_{n}": getattr(group, name) for name in _grouped_by(query)}
        found += statement(shape_of(query), len(part)).all(connection, values)
    return found


def _walk(connection: Connection, query: ThreadQuery, groups: _Groups) -> list[int]:
    """The numbers of the page's rows and of the one that follows."""
    found = _merged(connection, _walk_of, query, groups)
    if len(groups) > _ARMS:
        found.sort(key=lambda row: (row[0], row[1]), reverse=query.direction == "desc")
    return [number for _, _, number in found[: query.limit + 1]]


def _count(connection: Connection, query: ThreadQuery, groups: _Groups) -> Count:
    if query.since_ms is None and query.until_ms is None and query.search_term is None:
        return Count(sum(group.n for group in groups))
    seen = sum(n for (n,) in _merged(connection, _count_of, query, groups))
    return Count(min(seen, COUNTED), minimum=seen > COUNTED)


# ---------------------------------------------------------------------------------------------- few rows

_SAMPLED = 100  # rows that a minimum is counted from, where more than COUNTED may fit


class TermIndex(NamedTuple):
    """How a dialect finds rows that may hold a term; the rows then confirm it."""

    rows: Select[tuple[int]]
    """The numbers of such rows. Its parameters are `match`, the `grams` of the term, and `most`, the limit."""
    grams: Callable[[str], str | None]
    """None for a term that the index can't search for."""


class _Few(NamedTuple):
    """The few rows that a query names: where to find them, with which values, and whether these are all of them."""

    source: Literal["tree", "term", "threads"]
    values: dict[str, Any]
    all: bool = True


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
        if query.parent_id is not None or query.attached_to_id is not None or query.ids is not None:
            return _Few("threads", {})
        grams = None if query.search_term is None else self._terms.grams(query.search_term)
        if grams is None:
            return None
        (holding,) = self._count_holding.scalars(connection, {"match": grams, "most": COUNTED + 1})
        complete = holding <= COUNTED
        return _Few("term", {"match": grams, "most": COUNTED if complete else _SAMPLED}, complete)

    def _look(self, connection: Connection, few: _Few, query: ThreadQuery, limit: int) -> tuple[_Groups, list[int]]:
        """The groups of the few rows, but for those that the cwds or the time leave out; and the numbers of the first
        `limit` rows that the query lets through."""
        statement = self._look_of(shape_of(query), few.source)
        found = statement.named(connection, values_of(query) | few.values | {"limit": limit})
        rows = sorted((row[:3] for row in found if row.n is None), reverse=query.direction == "desc")
        return [row for row in found if row.n is not None], [number for _, _, number in rows]

    def _look_statement(self, shape: ThreadQuery, source: Literal["tree", "term", "threads"]) -> Prepared:
        """In one statement, for which SQLite finds the rows once (from 3.35 on): first the groups with their counts,
        then the rows of the page, with NULL for a count."""
        found = select(_key(shape), _threads.c.id, _threads.c.number, *(_threads.c[name] for name in GROUP))
        conditions = [*in_tree(shape), *holds_term(shape), *in_cwds(shape), *in_time(shape)]
        few = found.select_from(self._source(source)).where(*conditions).cte("few")
        groups = [few.c[name] for name in GROUP]
        # Both share their columns, whatever these hold: as integers they stay what they are.
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

    def _source(self, source: Literal["tree", "term", "threads"]) -> FromClause:
        if source == "tree":  # faster than to look for each id in a list
            below = ids_below("ancestor_id").subquery("below")
            return below.join(_threads, _threads.c.id == below.c.id)
        if source == "term":
            return self._holding.join(_threads, _threads.c.number == self._holding.c.number)
        return _threads


def _named(query: ThreadQuery) -> tuple[Any, ...]:
    """What decides which rows are looked at for a query."""
    rows = query.parent_id, query.ancestor_id, query.attached_to_id, query.ids
    return query.search_term, *rows, query.cwds, query.sort_key, query.since_ms, query.until_ms


def _fitting(query: ThreadQuery, groups: _Groups) -> int:
    """How many rows of these groups the query lets through."""
    return sum(group.n for group in groups if fits_group(cast("Grouped", group), query))
