"""Checks of arguments against each other: an argument that would have no effect beside the others is refused."""

from __future__ import annotations

from mcp_server.errors import InvalidArgument
from mcp_server.models.params import ItemsParams, ReadParams, SearchParams
from mcp_server.threads.catalog import Catalog


def only_thread(catalog: Catalog, params: SearchParams) -> str | None:
    """The id of the thread that a search is limited to, if it is. Refuses filters beside it."""
    if params.thread_id is None:
        return None
    thread = catalog.known(catalog.resolve(params.thread_id))
    way_out = "leave it out, or thread_id"
    for name in ("cwd", "model_providers", "source_kinds", "ancestor_thread_id", "tags", "since", "until"):
        if (value := getattr(params.filter, name)) is not None:
            raise InvalidArgument(name, value, "it filters threads, and thread_id names a single one", way_out)
    if params.filter.archived and not thread.archived:
        raise InvalidArgument("archived", True, f"thread {thread.id} is not archived", way_out)
    return thread.id


def check_no_page(params: ReadParams) -> None:
    """Refuse a cursor in a read without turns."""
    if params.cursor is not None:
        why, way_out = "it pages through turns, and include_turns is false", "pass include_turns=true, or leave it out"
        raise InvalidArgument("cursor", params.cursor, why, way_out)


def check_one_item(params: ItemsParams) -> None:
    """Refuse a cursor beside `item_id`."""
    if params.cursor is not None:
        why = "it pages through items, and item_id names a single one"
        raise InvalidArgument("cursor", params.cursor, why, "pass one of the two")


def check_error(status: str, error: str | None) -> None:
    """Refuse a failed turn without an error, and an error in a turn that did not fail."""
    given = bool(error and error.strip())
    if status == "failed" and not given:
        raise InvalidArgument("error", error, "a failed turn needs an error", "pass error: why the turn failed")
    if status != "failed" and given:
        way_out = "pass status=failed, or leave error out"
        raise InvalidArgument("error", error, f"a turn with status {status} has no error", way_out)
