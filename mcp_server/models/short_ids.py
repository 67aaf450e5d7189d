"""Ids in an answer: whole once, and otherwise the beginning that no other id in the answer has."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, cast

from mcp_server.models.value import Json

_ID_CHARS = 13
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def shorten_ids(tree: Any) -> Any:
    """The tree with each id whole once, in its own row if it has one, and otherwise its beginning, which is unique in
    the tree."""
    places = list[tuple[str, str]]()
    _collect_ids(tree, "", places)
    ids = {id_ for _, id_ in places}
    if len(ids) == len(places):
        return tree
    own = {id_ for path, id_ in places if _is_own(path)}
    short = beginnings(ids)
    told: set[str] = set()

    def shown(path: str, id_: str) -> str:
        if id_ in told or (id_ in own and not _is_own(path)):
            return short[id_]
        told.add(id_)
        return id_

    def walk(value: Any, path: str) -> Any:
        if isinstance(value, dict):
            return {key: walk(part, f"{path}.{key}") for key, part in cast("Json", value).items()}
        if isinstance(value, list):
            return [walk(part, path) for part in cast("list[Any]", value)]
        return shown(path, value) if _is_id(path, value) else value

    return walk(tree, "")


@cache
def _is_own(path: str) -> bool:
    """Whether something has its own id there: its `id`, or the thread's in a row of threads."""
    return path.endswith(".id") or path in (".nodes.thread_id", ".data.thread_id")


def _is_id(path: str, value: Any) -> bool:
    return isinstance(value, str) and len(value) == 36 and names_ids(path) and _UUID.fullmatch(value) is not None


@cache
def names_ids(path: str) -> bool:
    """Whether a field of this name holds an id, or a list of them."""
    name = path.rpartition(".")[2]
    return name in ("id", *_LISTS_OF_IDS) or name.endswith(("_id", "_ids"))


# Lists of thread ids under other names.
_LISTS_OF_IDS = (
    "data", "archived", "already_archived", "unarchived", "already_unarchived", "deleted", "already_gone",
    "interrupted",
)  # fmt: skip


def _collect_ids(value: Any, path: str, places: list[tuple[str, str]]) -> None:
    """Add each id in a value with its path."""
    if isinstance(value, dict):
        for key, part in cast("Json", value).items():
            _collect_ids(part, f"{path}.{key}", places)
    elif isinstance(value, list):
        for part in cast("list[Any]", value):
            _collect_ids(part, path, places)
    elif _is_id(path, value):
        places.append((path, value))


def beginnings(ids: set[str]) -> dict[str, str]:
    """The shortest beginning of each id that no other one has, of 13 characters at least."""
    ordered = sorted(ids)
    found: dict[str, str] = {}
    for n, id_ in enumerate(ordered):
        neighbours = ordered[max(0, n - 1) : n] + ordered[n + 1 : n + 2]
        shared = max((_shared(id_, other) for other in neighbours), default=0)
        found[id_] = id_[: max(_ID_CHARS, shared + 1)]
    return found


def _shared(one: str, other: str) -> int:
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
