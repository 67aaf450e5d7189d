"""The turns of a thread as an export shows them: whole, and masked where it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, cast

from msgspec import structs

from mcp_server.models.thread import StoredThread
from mcp_server.models.turn import Item, Turn
from mcp_server.threads.catalog import Catalog

_PAGE_TURNS = 20

Mask = Callable[[str], str]


def turns_of(catalog: Catalog, thread: StoredThread, mask: Mask | None) -> Generator[Turn]:
    """All turns of a thread, the oldest first, whole and masked.

    Raises:
        DamagedRollout: the rollout is gone or can't be read.
    """
    history = catalog.history(thread)
    for first in range(0, history.checkpoint.turns, _PAGE_TURNS):
        spans = history.spans(first, first + _PAGE_TURNS)
        for span, turn in zip(spans, history.show(spans, "full"), strict=True):
            if turn.items_view != "full":  # too long to be read at once
                turn = structs.replace(turn, items=list(history.items_of(span)), items_view="full")
            yield turn if mask is None else _masked_turn(turn, mask)


def masked(value: Any, mask: Mask) -> Any:
    """The value with all texts in it masked."""
    match value:
        case str():
            return mask(value)
        case dict():
            return {name: masked(part, mask) for name, part in cast("dict[str, Any]", value).items()}
        case list():
            return [masked(part, mask) for part in cast("list[Any]", value)]
        case _:
            return value


def _masked_turn(turn: Turn, mask: Mask) -> Turn:
    items = [Item(item | masked(item.fields, mask)) for item in turn.items]
    error = turn.error and structs.replace(
        turn.error,
        message=mask(turn.error.message),
        codex_error_info=masked(turn.error.codex_error_info, mask),
        additional_details=masked(turn.error.additional_details, mask),
    )
    return structs.replace(turn, items=items, error=error)
