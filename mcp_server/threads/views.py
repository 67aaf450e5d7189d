"""Threads, turns and items as clients see them. Long texts are cut, and the answer states their full length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET, UnsetType, structs
from msgspec.structs import replace

from mcp_server.codex.files import rollout_of
from mcp_server.codex.texts import all_texts
from mcp_server.models.quoting import beginning, plain_or_quoted
from mcp_server.models.results import ThreadTokens
from mcp_server.models.thread import NOT_LOADED, StoredThread, Thread, ThreadStatus, wire_source
from mcp_server.models.times import rfc3339
from mcp_server.models.tokens import TokenCount
from mcp_server.models.turn import Item, Turn
from mcp_server.storage.contracts import Holder, Rollouts
from mcp_server.storage.query import state_of
from mcp_server.threads.history import select_view
from mcp_server.threads.loaded import LoadedThread

# Previews are cut here, so that a hundred threads fit one answer. (Codex shows them whole.)
_PREVIEW_CHARS = 2_000


def thread_view(
    stored: StoredThread,
    rollouts: Rollouts,
    loaded: LoadedThread | None = None,
    holder: Holder | None = None,
    *,
    default_provider: str = "",
) -> Thread:
    """Codex's Thread. Status and settings are the loaded thread's, if it is loaded. `holder` is the other process that
    has it open.

    Of a thread that is not loaded, Codex shows the own id as session id; we show the root's, if it is recorded.
    """
    status: ThreadStatus = loaded.status if loaded else NOT_LOADED
    last = stored.last_turn
    held = holder is not None or (loaded is not None and loaded.turn is not None)
    return Thread(
        id=stored.id,
        session_id=stored.session_id or stored.id,
        forked_from_id=stored.forked_from_id,
        attached_to_thread_id=stored.attached_to_id or UNSET,
        parent_thread_id=stored.parent_thread_id,
        name=stored.name,
        preview=beginning(stored.preview, _PREVIEW_CHARS),
        status=status,
        archived=stored.archived,
        ephemeral=loaded.ephemeral if loaded else False,
        path=None if loaded and loaded.ephemeral else rollouts.absolute(rollout_of(stored)),
        cwd=stored.cwd,
        created_at=stored.created_at,
        updated_at=stored.updated_at_ms // 1000,
        recency_at=stored.recency_at,
        model_provider=stored.model_provider or default_provider,
        model=loaded.settings.model if loaded else stored.model,
        reasoning_effort=loaded.settings.reasoning_effort if loaded else stored.recorded.get("reasoning_effort"),
        source=wire_source(stored.source),
        thread_source=stored.thread_source,
        originator=stored.originator,
        cli_version=stored.cli_version,
        history_mode=stored.history_mode,
        agent_nickname=stored.agent_nickname,
        agent_role=stored.agent_role,
        git_info=stored.git,
        section=stored.section or UNSET,
        section_entered_at=_seconds(stored.section_entered_at_ms),
        tags=list(stored.tags) or UNSET,
        last_turn=state_of(stored, {stored.id} if held else ()) or UNSET,
        last_error=(last and last.error) or UNSET,
        last_answer=(last and last.answer) or UNSET,
        turn_count=UNSET if stored.turn_count is None else stored.turn_count,
        running_in=UNSET if holder is None else running_in(holder),
    )


def thread_tokens(count: TokenCount | None) -> ThreadTokens | UnsetType:
    """The tokens of a thread as clients see them."""
    if count is None:
        return UNSET
    window, size = (UNSET if part is None else part for part in (count.window, count.window_size))
    return ThreadTokens(**structs.asdict(count.total), window=window, window_size=size)


def running_in(holder: Holder) -> str:
    """The process that has a thread open, as far as known: `pid 123, codex, since 2026-11-22T23:04:50Z`."""
    known = f"pid {holder.pid}" if holder.pid is not None else "another process"
    program = plain_or_quoted(holder.program) if holder.program else None
    since = f"since {rfc3339(holder.since_ms)[:19]}Z" if holder.since_ms is not None else None
    return ", ".join(part for part in (known, program, since) if part)


def _seconds(ms: int | None) -> int | UnsetType:
    return UNSET if ms is None else ms // 1000


# Bounds the characters of one answer: clients bound what they accept (the SDK: 1 MiB for each event over HTTP).
ANSWER_CHARS = 600_000
# A page of turns shows this much of each text; thread_items shows the rest.
TEXT_CHARS = 4_000
# An estimate of what an item takes beside its texts; also the least part of a text that is worth showing.
_ITEM_CHARS = 300
_NEVER_CUT = frozenset({"type", "id", "status"})


def fit_answer(turns: Sequence[Turn]) -> list[Turn]:
    """The turns with long texts cut, so that all of them fit one answer. An item that was cut has `truncated`; a turn
    with too many items shows its first and last message only, and its `items_view` is `summary`."""
    left = ANSWER_CHARS
    shown: list[Turn] = []
    for number, turn in enumerate(turns):
        share = left // (len(turns) - number)
        if len(turn.items) * 2 * _ITEM_CHARS > share:
            turn = select_view(turn, "summary")
        room = share // max(1, len(turn.items)) - _ITEM_CHARS
        shown.append(with_cut_texts(turn, min(TEXT_CHARS, max(_ITEM_CHARS, room))))
        left -= sum(_size(item) for item in shown[-1].items)
    return shown


def with_cut_texts(turn: Turn, max_chars: int = TEXT_CHARS) -> Turn:
    """The turn with every text cut to its beginning."""
    items: list[Item] = []
    for item in turn.items:
        shown, truncated = cut_texts(item, 0, max_chars)
        items.append(shown.changed(truncated=truncated) if truncated else item)
    return replace(turn, items=items)


def _size(item: Item) -> int:
    return _ITEM_CHARS + sum(map(len, all_texts(item.fields)))


def cut_texts(item: Item, offset: int, max_chars: int) -> tuple[Item, dict[str, int]]:
    """The item with each text that is longer than `max_chars` cut to the characters `[offset, offset + max_chars)`, and
    the full lengths of these texts, by field (`content.0.text` if nested). A negative offset counts from the end."""
    if all(len(text) <= max_chars for text in all_texts(item.fields)):
        return item, {}
    truncated: dict[str, int] = {}
    shown = {name: _window(value, name, offset, max_chars, truncated) for name, value in item.items()}
    return Item(shown), truncated


def _window(value: Any, field: str, offset: int, max_chars: int, truncated: dict[str, int]) -> Any:
    match value:
        case str() if len(value) > max_chars and field.rpartition(".")[2] not in _NEVER_CUT:
            truncated[field] = len(value)
            start = offset if offset >= 0 else max(0, len(value) + offset)
            return value[start : start + max_chars]
        case list():
            return [_window(part, f"{field}.{n}", offset, max_chars, truncated) for n, part in enumerate(value)]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        case dict():
            return {k: _window(v, f"{field}.{k}", offset, max_chars, truncated) for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value
