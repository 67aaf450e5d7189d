"""The filters of a `ThreadQuery` as conditions in SQL: what `queries.fits` is in Python. Columns go without their
table, since no table that is joined to `threads` has any of these names."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from mcp_server.models.cwd import canonical_cwd
from mcp_server.storage.query import ThreadQuery
from mcp_server.storage.sqlite.statements import clamped
from mcp_server.storage.sqlite.threads import IDS_BELOW, below_values

KEYS = {"created_at": "created_at_ms", "updated_at": "updated_at_ms", "recency_at": "recency_at_ms"}
"""The columns of the sort keys."""

_AMONG = "IN (SELECT value FROM json_each(?))"  # any number of values as one

Conditions = tuple[list[str], list[Any]]
"""All of these hold, with these values in the places of their question marks."""


def of_group(query: ThreadQuery) -> Conditions:
    """On what `queries.fits_group` looks at."""
    conditions, values = list[str](), list[Any]()
    wants = (("archived", query.archived), ("has_preview", query.with_preview), ("attached", query.attached))
    for name, wanted in wants:
        if wanted is not None:
            conditions.append(f"{name} = ?")
            values.append(wanted)
    for name, allowed in (("source_kind", query.source_kinds), ("model_provider", query.model_providers)):
        if allowed is not None:
            conditions.append(f"{name} {_AMONG}")
            values.append(_json_list(allowed))
    return conditions, values


def of_cwd(query: ThreadQuery) -> Conditions:
    if query.cwds is None:
        return [], []
    return [f"cwd IN (SELECT cwd FROM cwds WHERE place {_AMONG})"], [_json_list({*map(canonical_cwd, query.cwds)})]


def _json_list(values: Iterable[str]) -> str:
    """The values for `_AMONG`. SQLite ends a value of a JSON list at a null character."""
    return json.dumps([value for value in values if "\0" not in value])


def of_time(query: ThreadQuery) -> Conditions:
    """On the sort key."""
    bounds = [(">=", query.since_ms), ("<=", query.until_ms)]
    given = [(sign, clamped(bound)) for sign, bound in bounds if bound is not None]
    return [f"{KEYS[query.sort_key]} {sign} ?" for sign, _ in given], [bound for _, bound in given]


def of_term(query: ThreadQuery) -> Conditions:
    """On name and preview."""
    if query.search_term is None:
        return [], []
    return ["(instr(name, ?) > 0 OR instr(preview, ?) > 0)"], [query.search_term] * 2


def of_anchor(query: ThreadQuery) -> Conditions:
    """On the place in the order: what `queries.beyond` is in Python."""
    if query.after is None:
        return [], []
    key, sign, at = KEYS[query.sort_key], "<" if query.direction == "desc" else ">", clamped(query.after.at_ms)
    if query.after.thread_id is None:
        return [f"{key} {sign} ?"], [at]
    return [f"({key}, id) {sign} (?, ?)"], [at, query.after.thread_id]


def of_parent(query: ThreadQuery) -> Conditions:
    if query.parent_id is None:
        return [], []
    return ["id IN (SELECT child_id FROM spawn_edges WHERE parent_id = ?)"], [query.parent_id]


def of_attached_to(query: ThreadQuery) -> Conditions:
    if query.attached_to_id is None:
        return [], []
    return ["attached_to_id = ?"], [query.attached_to_id]


def of_ids(query: ThreadQuery) -> Conditions:
    if query.ids is None:
        return [], []
    return [f"id {_AMONG}"], [_json_list(query.ids)]


def of_tree(query: ThreadQuery) -> Conditions:
    """On the place in the tree of sub-agents."""
    if query.ancestor_id is None:
        return of_parent(query)
    return all_of(of_parent(query), ([f"id IN ({IDS_BELOW})"], below_values(query.ancestor_id)))


def all_of(*parts: Conditions) -> Conditions:
    """The conditions of several."""
    return [one for conditions, _ in parts for one in conditions], [one for _, values in parts for one in values]


def expression(conditions: Iterable[str]) -> str:
    """All of them as one, which is true without any."""
    return " AND ".join(conditions) or "1"
