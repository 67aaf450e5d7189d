"""Filters that let few texts through. To walk through all texts with a common word until enough of these were met takes
a second in a large home; to look for their numbers in that list takes a few hundredths."""

from __future__ import annotations

from functools import lru_cache

from sqlalchemy import BindParameter, ColumnElement, Connection, bindparam, func, select

from mcp_server.storage.query import ThreadQuery
from mcp_server.storage.sql.lists import filters_of, shape_of, values_of
from mcp_server.storage.sql.prepared import Prepared
from mcp_server.storage.sql.rows import from_json, listed, table
from mcp_server.storage.sql.tables import HistoryRow, TextRow, ThreadRow

_threads, _histories, _texts = table(ThreadRow), table(HistoryRow), table(TextRow)
_FEW = 5_000


def few_texts(connection: Connection, threads: ThreadQuery) -> list[int] | None:
    """The numbers of all texts that the filters let through; None if these are many."""
    if not is_narrow(threads):
        return None
    values = values_of(threads) | {"most": _FEW + 1}
    numbers: list[int] = from_json(_allowed(shape_of(threads)).scalars(connection, values)[0])
    return numbers if len(numbers) <= _FEW else None


def among_few(number: ColumnElement[int]) -> ColumnElement[bool]:
    """Whether a number of a full-text index is in the list that is the parameter `few`. A sum is no rowid to SQLite: so
    it walks through the index once, and does not look up each number in it."""
    return (number + 0).in_(listed("few"))


def is_narrow(threads: ThreadQuery) -> bool:
    """Whether there are other filters than the usual ones."""
    return threads.archived is True or any(
        wanted is not None
        for wanted in (
            threads.source_kinds,
            threads.model_providers,
            threads.cwds,
            threads.parent_id,
            threads.ancestor_id,
            threads.attached_to_id,
            threads.ids,
            threads.since_ms,
            threads.until_ms,
        )
    )


@lru_cache
def _allowed(shape: ThreadQuery) -> Prepared:
    most: BindParameter[int] = bindparam("most")
    joined = _threads.join(_histories, _histories.c.thread_id == _threads.c.id).join(
        _texts, _texts.c.history == _histories.c.number
    )
    allowed = select(_texts.c.number).select_from(joined).where(*filters_of(shape)).limit(most).subquery()
    return Prepared(select(func.json_group_array(allowed.c.number)))
