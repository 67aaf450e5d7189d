"""The filters of a `ThreadQuery` as conditions in SQL: what `queries.fits` is in Python. Columns go without their
table, since no table that is joined to `threads` has any of these names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mcp_server.stores.index import clamped
from mcp_server.stores.queries import ThreadQuery, cwd_forms

KEYS = {"created_at": "created_at_ms", "updated_at": "updated_at_ms", "recency_at": "recency_at_ms"}
"""The columns of the sort keys."""

_BELOW = (
    # UNION, not UNION ALL: a row that was there before is not followed again, so a cycle ends
    "WITH RECURSIVE tree(id) AS (SELECT child_id FROM spawn_edges WHERE parent_id = ? "
    "UNION SELECT child_id FROM spawn_edges JOIN tree ON parent_id = tree.id) SELECT id FROM tree WHERE id != ?"
)

Conditions = tuple[list[str], list[Any]]
"""All of these hold, with these values in the places of their question marks."""


def of_group(query: ThreadQuery) -> Conditions:
    """On the columns that rows are grouped by, so on `thread_counts` too."""
    wanted: list[tuple[str, Iterable[Any] | None]] = [
        ("archived", None if query.archived is None else [query.archived]),
        ("has_preview", None if query.with_preview is None else [query.with_preview]),
        ("source_kind", query.source_kinds),
        ("model_provider", query.model_providers),
        ("cwd", None if query.cwds is None else cwd_forms(query.cwds)),
    ]
    conditions, values = list[str](), list[Any]()
    for name, allowed in wanted:
        if allowed is not None:
            held = list(allowed)
            conditions.append(f"{name} IN ({', '.join('?' * len(held))})")
            values += held
    return conditions, values


def of_time(query: ThreadQuery) -> Conditions:
    """On the sort key."""
    bounds = [(">=", query.since_ms), ("<=", query.until_ms)]
    given = [(sign, clamped(bound)) for sign, bound in bounds if bound is not None]
    return [f"{KEYS[query.sort_key]} {sign} ?" for sign, _ in given], [bound for _, bound in given]


def of_tree(query: ThreadQuery) -> Conditions:
    """On the place in the tree of sub-agents."""
    conditions, values = list[str](), list[Any]()
    if query.parent_id is not None:
        conditions.append("id IN (SELECT child_id FROM spawn_edges WHERE parent_id = ?)")
        values.append(query.parent_id)
    if query.ancestor_id is not None:
        conditions.append(f"id IN ({_BELOW})")
        values += [query.ancestor_id] * 2
    return conditions, values


def both(*parts: Conditions) -> Conditions:
    """All conditions of several."""
    return [one for conditions, _ in parts for one in conditions], [one for _, values in parts for one in values]


def joined(conditions: Iterable[str]) -> str:
    """As one expression, which is true without any."""
    return " AND ".join(conditions) or "1"
