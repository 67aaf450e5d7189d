"""What arguments say together: one that would have no effect beside the others is refused, not lost in silence."""

from __future__ import annotations

from mcp_server.errors import InvalidArgument
from mcp_server.models.params import ItemsParams, ReadParams, SearchParams
from mcp_server.threads.catalog import Catalog


def only_thread(catalog: Catalog, params: SearchParams) -> str | None:
    """The id of the one thread that a search names, if it does; no filter stands beside it."""
    if params.thread_id is None:
        return None
    thread = catalog.known(catalog.resolve(params.thread_id))
    way_out = "leave it out, or thread_id"
    for name in ("cwd", "model_providers", "source_kinds", "ancestor_thread_id", "since", "until"):
        if (value := getattr(params.filter, name)) is not None:
            raise InvalidArgument(name, value, "thread_id names one thread, and this chooses among many", way_out)
    if params.filter.archived and not thread.archived:
        raise InvalidArgument("archived", True, f"thread {thread.id} is not archived", way_out)
    return thread.id


def check_no_page(params: ReadParams) -> None:
    """Where no turns are asked for, there is nothing to page through."""
    if params.cursor is not None:
        way_out = "pass include_turns=true, or leave it out"
        raise InvalidArgument("cursor", params.cursor, "a cursor pages through turns", way_out)


def check_one_item(params: ItemsParams) -> None:
    """One item has no pages."""
    if params.cursor is not None:
        why = "item_id names one item, and a cursor pages through many"
        raise InvalidArgument("cursor", params.cursor, why, "pass one of the two")


def check_error(status: str, error: str | None) -> None:
    said = bool(error and error.strip())
    if status == "failed" and not said:
        raise InvalidArgument("error", error, "a failed turn says why it failed", "pass error with a sentence")
    if status != "failed" and said:
        way_out = "pass status=failed, or leave error out"
        raise InvalidArgument("error", error, f"a turn that ends as {status} has none", way_out)
