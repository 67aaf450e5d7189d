"""Lists and their counts in SQL, at a cost that does not grow with the number of threads.

Rows are of groups (archived, source, provider, cwd, ...), and `thread_counts` holds how many each group has. So a list
is the merge of one walk for each group that fits, along an index that has the group's rows in order; it ends after a
page. Two kinds of queries name so few rows that these are looked at one by one instead: those for the threads below
another, and those for a term that few rows can hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlmodel import Session

from mcp_server.stores.base import Present
from mcp_server.stores.fetching import clamped, fetch_all
from mcp_server.stores.filters import KEYS, all_of, expression, of_cwd, of_time, of_tree
from mcp_server.stores.index import get_numbered
from mcp_server.stores.queries import COUNTED, Count, ThreadQuery, ThreadRows, beyond, fits_group, in_time

_ARMS = 100  # SQLite joins at most 500 SELECTs, and binds at most 999 values in old versions
_GRAM = 3
_GRAMS = 32
_LOOKED_AT = 3  # sort key, id and number
_HOLDS_TERM = "(instr(name, ?) > 0 OR instr(preview, ?) > 0)"


class _Group(NamedTuple):
    """What the rows of a group have in common; the cwd only where a query asks for some."""

    archived: bool
    has_preview: bool
    source_kind: str
    model_provider: str
    cwd: str | None = None


class _Few(NamedTuple):
    """The few rows that a query names by its term or its tree; only the first of them if they are not `all`."""

    condition: str
    values: list[Any]
    all: bool


def list_threads(
    session: Session, query: ThreadQuery, beside: Sequence[ThreadQuery] = (), present: Present | None = None
) -> ThreadRows:
    """One page, and the counts of queries beside it, told by the same look where they name the same rows."""
    few = _few(session, query)
    alike = [_named(other) == _named(query) for other in beside]
    together = [query, *(other for other, is_alike in zip(beside, alike, strict=True) if is_alike)]
    if few is None:
        groups = groups_of(session, together)
        totals = [_count(session, one, fitting) for one, fitting in zip(together, groups, strict=True)]
        numbers = _walk(session, query, groups[0])
    else:
        found = _look(session, few, query)
        fitting = [_fitting(one, found) for one in together]
        totals = [Count(len(rows), minimum=not few.all) for rows in fitting]
        numbers = _in_order(query, fitting[0]) if few.all else _walk(session, query, groups_of(session, [query])[0])
    told = iter(totals[1:])
    rest = iter(counts(session, [other for other, is_alike in zip(beside, alike, strict=True) if not is_alike]))
    page = get_numbered(session, numbers[: query.limit])
    return ThreadRows(
        tuple(page),
        total=totals[0],
        more=len(numbers) > query.limit,
        beside=tuple(next(told if is_alike else rest) for is_alike in alike),
        present=frozenset() if present is None else present([thread.path for thread in page]),
    )


def counts(session: Session, queries: Sequence[ThreadQuery]) -> list[Count]:
    """How many rows fit each query."""
    found: list[Count] = []
    for query in queries:
        few = _few(session, query)
        if few is None:
            found.append(_count(session, query, groups_of(session, [query])[0]))
        else:
            found.append(Count(len(_fitting(query, _look(session, few, query))), minimum=not few.all))
    return found


# ---------------------------------------------------------------------------------------------- groups


def groups_of(session: Session, queries: Sequence[ThreadQuery]) -> list[list[tuple[_Group, int]]]:
    """For each query the groups that fit, and how many rows each has. The queries ask for the same cwds."""
    conditions, values = of_cwd(queries[0])
    columns = ", ".join(_Group._fields[: None if conditions else -1])
    sql = f"SELECT {columns}, sum(n) FROM thread_counts WHERE {expression(conditions)} GROUP BY {columns}"
    groups = [(_Group(*group), n) for *group, n in fetch_all(session, sql, values)]
    return [[(group, n) for group, n in groups if fits_group(group, query)] for query in queries]


def _arm(query: ThreadQuery, group: _Group, columns: str, *, bounded: bool) -> tuple[str, list[Any]]:
    """The rows of one group that the query lets through, from the anchor on if `bounded`."""
    key = KEYS[query.sort_key]
    given = {name: value for name, value in group._asdict().items() if value is not None}
    conditions, values = all_of(([f"{name} = ?" for name in given], [*given.values()]), of_time(query))
    if bounded and query.after is not None:
        sign, at = "<" if query.direction == "desc" else ">", clamped(query.after.at_ms)
        if query.after.thread_id is None:
            conditions.append(f"{key} {sign} ?")
            values.append(at)
        else:
            conditions.append(f"({key}, id) {sign} (?, ?)")
            values += [at, query.after.thread_id]
    if query.search_term is not None:
        conditions.append(_HOLDS_TERM)
        values += [query.search_term] * 2
    # Without statistics SQLite may take the index that begins with fewer columns.
    index = f"ix_threads_{'' if query.cwds is None else 'cwd_'}{query.sort_key.removesuffix('_at')}"
    return f"SELECT {columns} FROM threads INDEXED BY {index} WHERE {expression(conditions)}", values


def _merged(query: ThreadQuery, groups: Sequence[tuple[_Group, int]], columns: str) -> Iterator[tuple[str, list[Any]]]:
    """Statements that merge the walks of the groups."""
    for start in range(0, len(groups), _ARMS):
        arms = [_arm(query, group, columns, bounded=columns != "1") for group, _ in groups[start : start + _ARMS]]
        yield " UNION ALL ".join(sql for sql, _ in arms), [value for _, values in arms for value in values]


def walk_statements(query: ThreadQuery, groups: Sequence[tuple[_Group, int]]) -> Iterator[tuple[str, list[Any]]]:
    """What finds a page of the rows of these groups: sort key, id and number, in order."""
    way = "DESC" if query.direction == "desc" else "ASC"
    for sql, values in _merged(query, groups, f"{KEYS[query.sort_key]}, id, number"):
        yield f"{sql} ORDER BY 1 {way}, 2 {way} LIMIT ?", [*values, query.limit + 1]


def _walk(session: Session, query: ThreadQuery, groups: Sequence[tuple[_Group, int]]) -> list[int]:
    """The numbers of the page's rows and of the one that follows."""
    found = [row for sql, values in walk_statements(query, groups) for row in fetch_all(session, sql, values)]
    if len(groups) > _ARMS:
        found.sort(key=lambda row: (row[0], row[1]), reverse=query.direction == "desc")
    return [number for _, _, number in found[: query.limit + 1]]


def _count(session: Session, query: ThreadQuery, groups: Sequence[tuple[_Group, int]]) -> Count:
    if query.since_ms is None and query.until_ms is None and query.search_term is None:
        return Count(sum(n for _, n in groups))
    seen = 0
    for sql, values in _merged(query, groups, "1"):
        seen += fetch_all(session, f"SELECT count(*) FROM ({sql} LIMIT ?)", [*values, COUNTED + 1])[0][0]
    return Count(min(seen, COUNTED), minimum=seen > COUNTED)


# ---------------------------------------------------------------------------------------------- few rows


def _named(query: ThreadQuery) -> tuple[Any, ...]:
    """What decides which rows are looked at for a query."""
    return query.search_term, query.parent_id, query.ancestor_id, query.cwds


def _few(session: Session, query: ThreadQuery) -> _Few | None:
    """None for a query that names no rows."""
    conditions, values = of_tree(query)
    complete = True
    if query.search_term is not None:
        if not conditions:
            wanted = _grams(query.search_term)
            if wanted is None:
                return None
            sql = "SELECT rowid FROM threads_text WHERE threads_text MATCH ? LIMIT ?"
            held = [number for (number,) in fetch_all(session, sql, [wanted, COUNTED + 1])]
            complete = len(held) <= COUNTED
            conditions.append(f"number IN ({', '.join(map(str, held))})")
        conditions.append(_HOLDS_TERM)
        values += [query.search_term] * 2
    return _Few(expression(conditions), values, complete) if conditions else None


def _look(session: Session, few: _Few, query: ThreadQuery) -> list[Any]:
    """Of each of the few rows the sort key, the id, the number, and what groups it. In Python what a query lets through
    is found with fewer steps: once for each group."""
    conditions, values = all_of(([few.condition], few.values), of_cwd(query))
    columns = ", ".join((KEYS[query.sort_key], "id", "number", *_Group._fields[:-1]))
    return fetch_all(session, f"SELECT {columns} FROM threads WHERE {expression(conditions)}", values)


def _fitting(query: ThreadQuery, rows: Sequence[Any]) -> list[Any]:
    """Those of these rows that the query lets through."""
    lets = {group: fits_group(_Group(*group), query) for group in {row[_LOOKED_AT:] for row in rows}}
    return [row for row in rows if lets[row[_LOOKED_AT:]] and in_time(row[0], query)]


def _in_order(query: ThreadQuery, rows: Sequence[Any]) -> list[int]:
    """The numbers of these rows, from the query's anchor on."""
    rest = sorted(row[:_LOOKED_AT] for row in rows if beyond(row[0], row[1], query))
    return [number for _, _, number in (rest if query.direction == "asc" else reversed(rest))]


def _grams(term: str) -> str | None:
    """What the text index is asked for a term: rows that hold all of its runs of three characters. None for a term
    that is too short for it."""
    grams = {term[start : start + _GRAM] for start in range(len(term) - _GRAM + 1)}
    usable = sorted(gram for gram in grams if "\0" not in gram)[:_GRAMS]
    return " AND ".join('"' + gram.replace('"', '""') + '"' for gram in usable) or None
