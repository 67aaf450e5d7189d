"""Lists and their counts in SQL, at a cost that does not grow with the number of threads.

Rows are of groups (archived, source, provider, cwd, ...), and `thread_counts` holds how many each group has. So a list
is the merge of one walk for each group that fits, along an index that has the group's rows in order; it ends after a
page. Two kinds of queries name so few rows that these are looked at one by one instead: those for the threads below
another, and those for a term that few rows can hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlmodel import Session

from mcp_server.stores.index import clamped, get_numbered
from mcp_server.stores.queries import COUNTED, Count, ThreadQuery, ThreadRows, beyond, cwd_forms, fits

_ARMS = 100  # SQLite joins at most 500 SELECTs, and binds at most 999 values in old versions
_GRAM = 3
_GRAMS = 32
_KEYS = {"created_at": "created_at_ms", "updated_at": "updated_at_ms", "recency_at": "recency_at_ms"}
_HOLDS_TERM = "(instr(name, ?) > 0 OR instr(preview, ?) > 0)"
BELOW = (
    # UNION, not UNION ALL: a row that was there before is not followed again, so a cycle ends
    "WITH RECURSIVE tree(id) AS (SELECT child_id FROM spawn_edges WHERE parent_id = ? "
    "UNION SELECT child_id FROM spawn_edges JOIN tree ON parent_id = tree.id) SELECT id FROM tree WHERE id != ?"
)

_Group = tuple[Any, ...]
_Names = tuple[str | None, ...]


class _Row(NamedTuple):
    """What is looked at of one of few rows."""

    number: int
    id: str
    archived: bool
    has_preview: bool
    source_kind: str
    model_provider: str
    cwd: str
    created_at: int
    updated_at: int
    recency_at: int


class _Few(NamedTuple):
    """The rows that a query's term or tree allows; only the first of them if they are not `all`."""

    rows: list[_Row]
    all: bool


def list_threads(session: Session, query: ThreadQuery, beside: Sequence[ThreadQuery] = ()) -> ThreadRows:
    """One page, and the counts of queries beside it, which may name the same few rows."""
    few = _few(session, query)
    if few is not None and few.all:
        found = [(key, row) for row in few.rows if fits(row, key := getattr(row, query.sort_key), query)]
        found.sort(key=lambda one: (one[0], one[1].id), reverse=query.direction == "desc")
        rest = [row.number for key, row in found if beyond(key, row.id, query)]
        numbers, total = rest[: query.limit + 1], Count(len(found))
    else:
        groups = list(groups_of(session, query))
        numbers, total = _walk(session, query, groups), _count(session, query, few, groups)
    rows = get_numbered(session, numbers[: query.limit])
    return ThreadRows(
        tuple(rows),
        total=total,
        more=len(numbers) > query.limit,
        beside=tuple(_counts(session, beside, {_named(query): few})),
    )


def counts(session: Session, queries: Sequence[ThreadQuery]) -> list[Count]:
    """How many rows fit each query."""
    return _counts(session, queries, {})


def _counts(session: Session, queries: Sequence[ThreadQuery], seen: dict[_Names, _Few | None]) -> list[Count]:
    found: list[Count] = []
    for query in queries:
        if _named(query) not in seen:
            seen[_named(query)] = _few(session, query)
        found.append(_count(session, query, seen[_named(query)], None))
    return found


# ---------------------------------------------------------------------------------------------- groups


def groups_of(session: Session, query: ThreadQuery) -> Iterator[tuple[_Group, int]]:
    """The groups that fit, as the values that their rows have in common, and how many rows each has. Groups are told
    apart by cwd only where the query is."""
    names = ["archived", "has_preview", "source_kind", "model_provider"]
    if query.cwds is not None:
        names.insert(0, "cwd")
    wanted: list[tuple[str, Iterable[Any] | None]] = [
        ("archived", None if query.archived is None else [query.archived]),
        ("has_preview", None if query.with_preview is None else [query.with_preview]),
        ("source_kind", query.source_kinds),
        ("model_provider", query.model_providers),
        ("cwd", None if query.cwds is None else cwd_forms(query.cwds)),
    ]
    conditions, values = ["1"], list[Any]()
    for name, allowed in wanted:
        if allowed is not None:
            held = list(allowed)
            conditions.append(f"{name} IN ({', '.join('?' * len(held))})")
            values += held
    columns = ", ".join(names)
    sql = f"SELECT {columns}, sum(n) FROM thread_counts WHERE {' AND '.join(conditions)} GROUP BY {columns}"
    for *group, n in _rows(session, sql, values):
        yield tuple(zip(names, group, strict=True)), n


def _arm(query: ThreadQuery, group: _Group, columns: str, *, bounded: bool) -> tuple[str, list[Any]]:
    """The rows of one group that the query lets through, from the anchor on if `bounded`."""
    key = _KEYS[query.sort_key]
    conditions = [f"{name} = ?" for name, _ in group]
    values = [value for _, value in group]
    if query.since_ms is not None:
        conditions.append(f"{key} >= ?")
        values.append(clamped(query.since_ms))
    if query.until_ms is not None:
        conditions.append(f"{key} <= ?")
        values.append(clamped(query.until_ms))
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
    return f"SELECT {columns} FROM threads INDEXED BY {index} WHERE {' AND '.join(conditions)}", values


def _merged(query: ThreadQuery, groups: Sequence[tuple[_Group, int]], columns: str) -> Iterator[tuple[str, list[Any]]]:
    """Statements that merge the walks of the groups."""
    for start in range(0, len(groups), _ARMS):
        arms = [_arm(query, group, columns, bounded=columns != "1") for group, _ in groups[start : start + _ARMS]]
        yield " UNION ALL ".join(sql for sql, _ in arms), [value for _, values in arms for value in values]


def walk_statements(query: ThreadQuery, groups: Sequence[tuple[_Group, int]]) -> Iterator[tuple[str, list[Any]]]:
    """What finds a page of the rows of these groups: sort key, id and number, in order."""
    way = "DESC" if query.direction == "desc" else "ASC"
    for sql, values in _merged(query, groups, f"{_KEYS[query.sort_key]}, id, number"):
        yield f"{sql} ORDER BY 1 {way}, 2 {way} LIMIT ?", [*values, query.limit + 1]


def _walk(session: Session, query: ThreadQuery, groups: Sequence[tuple[_Group, int]]) -> list[int]:
    """The numbers of the page's rows and of the one that follows."""
    found = [row for sql, values in walk_statements(query, groups) for row in _rows(session, sql, values)]
    if len(groups) > _ARMS:
        found.sort(key=lambda row: (row[0], row[1]), reverse=query.direction == "desc")
    return [number for _, _, number in found[: query.limit + 1]]


def _count(
    session: Session, query: ThreadQuery, few: _Few | None, groups: Sequence[tuple[_Group, int]] | None
) -> Count:
    if few is not None:
        fitting = sum(fits(row, getattr(row, query.sort_key), query) for row in few.rows)
        return Count(fitting, minimum=not few.all)
    if groups is None:
        groups = list(groups_of(session, query))
    if query.since_ms is None and query.until_ms is None and query.search_term is None:
        return Count(sum(n for _, n in groups))
    seen = 0
    for sql, values in _merged(query, groups, "1"):
        seen += _rows(session, f"SELECT count(*) FROM ({sql} LIMIT ?)", [*values, COUNTED + 1])[0][0]
    return Count(min(seen, COUNTED), minimum=seen > COUNTED)


# ---------------------------------------------------------------------------------------------- few rows


def _named(query: ThreadQuery) -> _Names:
    """What decides which few rows a query names."""
    return query.search_term, query.parent_id, query.ancestor_id


def _few(session: Session, query: ThreadQuery) -> _Few | None:
    """None for a query that names no rows."""
    conditions, values = list[str](), list[Any]()
    complete = True
    if query.parent_id is not None:
        conditions.append("id IN (SELECT child_id FROM spawn_edges WHERE parent_id = ?)")
        values.append(query.parent_id)
    if query.ancestor_id is not None:
        conditions.append(f"id IN ({BELOW})")
        values += [query.ancestor_id] * 2
    if query.search_term is not None:
        if not conditions:
            wanted = _grams(query.search_term)
            if wanted is None:
                return None
            sql = "SELECT rowid FROM threads_text WHERE threads_text MATCH ? LIMIT ?"
            held = [number for (number,) in _rows(session, sql, [wanted, COUNTED + 1])]
            complete = len(held) <= COUNTED
            conditions.append(f"number IN ({', '.join(map(str, held))})")
        conditions.append(_HOLDS_TERM)
        values += [query.search_term] * 2
    if not conditions:
        return None
    sql = f"SELECT {', '.join(_COLUMNS)} FROM threads WHERE {' AND '.join(conditions)}"
    return _Few([_Row(*row) for row in _rows(session, sql, values)], complete)


_COLUMNS = [_KEYS.get(name, name) for name in _Row._fields]


def _grams(term: str) -> str | None:
    """What the text index is asked for a term: rows that hold all of its runs of three characters. None for a term
    that is too short for it."""
    grams = {term[start : start + _GRAM] for start in range(len(term) - _GRAM + 1)}
    usable = sorted(gram for gram in grams if "\0" not in gram)[:_GRAMS]
    return " AND ".join('"' + gram.replace('"', '""') + '"' for gram in usable) or None


def _rows(session: Session, sql: str, values: Sequence[Any]) -> list[Any]:
    return list(session.connection().exec_driver_sql(sql, tuple(values)))
