"""Lists and their counts in SQL, at a cost that does not grow with the number of threads.

Rows are of groups (archived, source, provider, cwd, ...), and `thread_counts` holds how many each group has. So a list
is the merge of one walk for each group that fits, along an index that has the group's rows in order; it ends after a
page. Some queries name so few rows that all of these are looked at instead, once for the page and the counts: those for
the threads below another, attached to another or named by their ids, and those for a term that few rows can hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from mcp_server.storage.contracts import LookMany
from mcp_server.storage.query import COUNTED, Count, ThreadQuery, ThreadRows, fits_group
from mcp_server.storage.sqlite.filters import (
    KEYS,
    all_of,
    expression,
    of_anchor,
    of_attached_to,
    of_cwd,
    of_group,
    of_ids,
    of_parent,
    of_term,
    of_time,
)
from mcp_server.storage.sqlite.statements import fetch_all, fetch_one
from mcp_server.storage.sqlite.threads import IDS_BELOW, below_values, get_numbered

_ARMS = 100  # SQLite joins at most 500 SELECTs, and binds at most 999 values in old versions
_GRAM = 3
_GRAMS = 32
_BELOW = f"({IDS_BELOW}) CROSS JOIN threads USING (id)"  # faster than to look for each id in a list
_HELD = "SELECT rowid AS number FROM threads_text WHERE threads_text MATCH ? LIMIT ?"
_HOLDING = f"({_HELD}) CROSS JOIN threads USING (number)"
_GLANCED = 100  # rows that are looked at for a minimum, where more than COUNTED may fit


class _Group(NamedTuple):
    """What the rows of a group have in common; the cwd only where a query asks for some."""

    archived: bool
    has_preview: bool
    attached: bool
    source_kind: str
    model_provider: str
    cwd: str | None = None


_GROUPED_BY = _Group._fields[:-1]

_Groups = list[tuple[_Group, int]]
"""Groups, and how many rows each has."""


class _Few(NamedTuple):
    """The few rows that a query names by its term or its tree, in `source`; only some of them if not `all`."""

    source: str
    condition: str
    values: list[Any]
    all: bool


def list_threads(
    connection: Connection, query: ThreadQuery, beside: Sequence[ThreadQuery] = (), look: LookMany | None = None
) -> ThreadRows:
    """One page, and the counts of queries beside it, told by the same look where they name the same rows."""
    few = _few(connection, query)
    alike = [_named(other) == _named(query) for other in beside]
    together = [query, *(other for other, is_alike in zip(beside, alike, strict=True) if is_alike)]
    if few is None:
        groups = groups_of(connection, together)
        totals = [_count(connection, one, fitting) for one, fitting in zip(together, groups, strict=True)]
        numbers = _walk(connection, query, groups[0])
    else:
        found, numbers = _look(connection, few, query, query.limit + 1 if few.all else 0)
        totals = [Count(_fitting(one, found), minimum=not few.all) for one in together]
        if not few.all:
            numbers = _walk(connection, query, groups_of(connection, [query])[0])
            totals[0] = Count(max(totals[0].n, len(numbers)), minimum=True)
    told = iter(totals[1:])
    rest = iter(counts(connection, [other for other, is_alike in zip(beside, alike, strict=True) if not is_alike]))
    page = get_numbered(connection, numbers[: query.limit])
    return ThreadRows(
        tuple(page),
        total=totals[0],
        more=len(numbers) > query.limit,
        beside=tuple(next(told if is_alike else rest) for is_alike in alike),
        files={} if look is None else look([thread.path for thread in page]),
    )


def counts(connection: Connection, queries: Sequence[ThreadQuery]) -> list[Count]:
    """How many rows fit each query."""
    found: list[Count] = []
    for query in queries:
        few = _few(connection, query)
        if few is None:
            found.append(_count(connection, query, groups_of(connection, [query])[0]))
        else:
            found.append(Count(_fitting(query, _look(connection, few, query, 0)[0]), minimum=not few.all))
    return found


# ---------------------------------------------------------------------------------------------- groups


def groups_of(connection: Connection, queries: Sequence[ThreadQuery]) -> list[_Groups]:
    """For each query the groups that fit, and how many rows each has. The queries ask for the same cwds."""
    conditions, values = of_cwd(queries[0])
    columns = ", ".join(_Group._fields[: None if conditions else -1])
    sql = f"SELECT {columns}, sum(n) FROM thread_counts WHERE {expression(conditions)} GROUP BY {columns}"
    groups = [(_Group(*group), n) for *group, n in fetch_all(connection, sql, values)]
    return [[(group, n) for group, n in groups if fits_group(group, query)] for query in queries]


def _arm(query: ThreadQuery, group: _Group, columns: str, *, bounded: bool) -> tuple[str, list[Any]]:
    """The rows of one group that the query lets through, from the anchor on if `bounded`."""
    given = {name: value for name, value in group._asdict().items() if value is not None}
    of_these = [f"{name} = ?" for name in given], [*given.values()]
    conditions, values = all_of(of_these, of_time(query), of_anchor(query) if bounded else ([], []), of_term(query))
    # Without statistics SQLite may take the index that begins with fewer columns.
    index = f"ix_threads_{'' if query.cwds is None else 'cwd_'}{query.sort_key.removesuffix('_at')}"
    return f"SELECT {columns} FROM threads INDEXED BY {index} WHERE {expression(conditions)}", values


def _merged(query: ThreadQuery, groups: _Groups, columns: str) -> Iterator[tuple[str, list[Any]]]:
    """Statements that merge the walks of the groups."""
    for start in range(0, len(groups), _ARMS):
        arms = [_arm(query, group, columns, bounded=columns != "1") for group, _ in groups[start : start + _ARMS]]
        yield " UNION ALL ".join(sql for sql, _ in arms), [value for _, values in arms for value in values]


def walk_statements(query: ThreadQuery, groups: _Groups) -> Iterator[tuple[str, list[Any]]]:
    """What finds a page of the rows of these groups: sort key, id and number, in order."""
    way = "DESC" if query.direction == "desc" else "ASC"
    for sql, values in _merged(query, groups, f"{KEYS[query.sort_key]}, id, number"):
        yield f"{sql} ORDER BY 1 {way}, 2 {way} LIMIT ?", [*values, query.limit + 1]


def _walk(connection: Connection, query: ThreadQuery, groups: _Groups) -> list[int]:
    """The numbers of the page's rows and of the one that follows."""
    found = [row for sql, values in walk_statements(query, groups) for row in fetch_all(connection, sql, values)]
    if len(groups) > _ARMS:
        found.sort(key=lambda row: (row[0], row[1]), reverse=query.direction == "desc")
    return [number for _, _, number in found[: query.limit + 1]]


def _count(connection: Connection, query: ThreadQuery, groups: _Groups) -> Count:
    if query.since_ms is None and query.until_ms is None and query.search_term is None:
        return Count(sum(n for _, n in groups))
    seen = 0
    for sql, values in _merged(query, groups, "1"):
        seen += fetch_all(connection, f"SELECT count(*) FROM ({sql} LIMIT ?)", [*values, COUNTED + 1])[0][0]
    return Count(min(seen, COUNTED), minimum=seen > COUNTED)


# ---------------------------------------------------------------------------------------------- few rows


def _named(query: ThreadQuery) -> tuple[Any, ...]:
    """What decides which rows are looked at for a query."""
    rows = query.parent_id, query.ancestor_id, query.attached_to_id, query.ids
    return query.search_term, *rows, query.cwds, query.sort_key, query.since_ms, query.until_ms


def _few(connection: Connection, query: ThreadQuery) -> _Few | None:
    """None for a query that names no rows."""
    source, values = "threads", list[Any]()
    complete = True
    if query.ancestor_id is not None:
        source, values = _BELOW, below_values(query.ancestor_id)
    elif query.parent_id is None and query.attached_to_id is None and query.ids is None:
        grams = None if query.search_term is None else _grams(query.search_term)
        if grams is None:
            return None
        source = _HOLDING
        complete = fetch_one(connection, f"SELECT count(*) FROM ({_HELD})", (grams, COUNTED + 1))[0] <= COUNTED
        values = [grams, COUNTED if complete else _GLANCED]
    conditions, of_rows = all_of(of_parent(query), of_attached_to(query), of_ids(query), of_term(query))
    return _Few(source, expression(conditions), [*values, *of_rows], complete)


def _look(connection: Connection, few: _Few, query: ThreadQuery, limit: int) -> tuple[_Groups, list[int]]:
    """The groups of the few rows, but for those that the cwds or the time leave out; and the numbers of the first
    `limit` rows that the query lets through. In one statement, for which SQLite finds the rows once (from 3.35 on)."""
    named, named_values = all_of(([few.condition], few.values), of_cwd(query), of_time(query))
    page, page_values = all_of(of_group(query), of_anchor(query))
    key, way, groups = KEYS[query.sort_key], "DESC" if query.direction == "desc" else "ASC", ", ".join(_GROUPED_BY)
    # rows of the page have NULL for a count
    nulls = ", NULL" * (len(_GROUPED_BY) - 2)
    sql = (
        f"WITH few AS (SELECT {key}, id, number, {groups} FROM {few.source} WHERE {expression(named)}) "
        f"SELECT {groups}, count(*) FROM few GROUP BY {groups} "
        f"UNION ALL SELECT * FROM (SELECT {key}, id, number{nulls} FROM few WHERE {expression(page)} "
        f"ORDER BY {key} {way}, id {way} LIMIT ?)"
    )
    found = fetch_all(connection, sql, (*named_values, *page_values, limit))
    rows = sorted((row[:3] for row in found if row[-1] is None), reverse=query.direction == "desc")
    return [(_Group(*group), n) for *group, n in found if n is not None], [number for _, _, number in rows]


def _fitting(query: ThreadQuery, groups: _Groups) -> int:
    """How many rows of these groups the query lets through."""
    return sum(n for group, n in groups if fits_group(group, query))


def _grams(term: str) -> str | None:
    """What the text index is asked for a term: rows that hold all of its runs of three characters. None for a term
    that is too short for it."""
    grams = {term[start : start + _GRAM] for start in range(len(term) - _GRAM + 1)}
    usable = sorted(gram for gram in grams if "\0" not in gram)[:_GRAMS]
    return " AND ".join('"' + gram.replace('"', '""') + '"' for gram in usable) or None
