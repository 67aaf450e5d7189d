"""A whole history at once, by the way that the server reads: through the index, by offset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from mcp_server.codex.files import BadLine, RolloutRef
from mcp_server.codex.fork import HistoryCopy
from mcp_server.codex.lines import RolloutLine
from mcp_server.models.thread import StoredThread, Thread
from mcp_server.models.turn import HEAD, Item, ItemHead, Turn
from mcp_server.models.value import plain
from mcp_server.storage.contracts import RolloutStore
from mcp_server.storage.lookup import Source
from mcp_server.storage.memory.history import MemoryHistory
from mcp_server.threads.history import history_text
from mcp_server.threads.turn_index import open_history


@dataclass(frozen=True, slots=True)
class WholeHistory:
    """All turns, oldest first, and the lines that could not be used when they were indexed."""

    turns: list[Turn]
    bad_lines: tuple[BadLine, ...]
    next_item: int
    next_ordinal: int


def read_history(
    rollouts: RolloutStore,
    thread: StoredThread,
    base_of: Callable[[str], StoredThread | None],
    *,
    active_turn_id: str | None = None,
) -> WholeHistory:
    def source(rollout_id: str) -> Source | None:
        base = base_of(rollout_id)
        return base and Source(RolloutRef(base.path), base.history_base)

    text = history_text(rollouts, thread, source)
    history = open_history(MemoryHistory(), text, active_turn_id)
    bad = tuple(text.bad)
    turns = history.turns(0, history.checkpoint.turns, "full")
    return WholeHistory(turns, bad, history.checkpoint.next_item, history.checkpoint.next_ordinal)


def check_types(told: Thread | Turn) -> None:
    """Raises if something of a thread or a turn is not of the type that the schemas of the tools tell."""
    msgspec.convert(plain(told), type(told), dec_hook=_item)


def _item(kind: type, fields: dict[str, Any]) -> Item:
    assert kind is Item
    msgspec.convert({name: value for name, value in fields.items() if name in HEAD}, ItemHead)
    return Item(fields)


def fork_lines(
    source: Iterable[RolloutLine],
    source_id: str,
    now_ms: int,
    last_turn_id: str | None = None,
    before_turn_id: str | None = None,
) -> Iterator[RolloutLine]:
    """What a legacy fork copies of these lines."""
    copy = HistoryCopy(source_id, now_ms, last_turn_id=last_turn_id, before_turn_id=before_turn_id)
    for line in source:
        yield from copy.feed(line)
        if copy.done:
            break
    yield from copy.close()
