"""Threads, turns and items as clients see them. Long texts are cut, and the answer states their full length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from mcp_server.codex.files import rollout_of
from mcp_server.codex.texts import all_texts
from mcp_server.models.thread import NOT_LOADED, StoredThread, Thread, ThreadStatus, wire_source
from mcp_server.models.turn import Item, Turn
from mcp_server.storage.contracts import Rollouts
from mcp_server.threads.history import select_view
from mcp_server.threads.loaded import LoadedThread

# Previews are cut here, so that a hundred threads fit one answer. (Codex shows them whole.)
_PREVIEW_CHARS = 2_000


def thread_view(
    stored: StoredThread,
    rollouts: Rollouts,
    loaded: LoadedThread | None = None,
    turns: Sequence[Turn] = (),
    *,
    default_provider: str = "",
) -> Thread:
    """Codex's Thread. Status and settings are the loaded thread's, if it is loaded.

    Of a thread that is not loaded, Codex shows the own id as session id; we show the root's, if it is recorded.
    """
    status: ThreadStatus = loaded.status if loaded else NOT_LOADED
    return Thread(
        id=stored.id,
        session_id=stored.session_id or stored.id,
        forked_from_id=stored.forked_from_id,
        attached_to_thread_id=stored.attached_to_id or UNSET,
        parent_thread_id=stored.parent_thread_id,
        name=stored.name,
        preview=shortened(stored.preview, _PREVIEW_CHARS),
        status=status,
        archived=stored.archived,
        ephemeral=loaded.ephemeral if loaded else False,
        path=None if loaded and loaded.ephemeral else rollouts.absolute(rollout_of(stored)),
        cwd=stored.cwd,
        created_at=stored.created_at_ms // 1000,
        updated_at=stored.updated_at_ms // 1000,
        recency_at=stored.recency_at_ms // 1000,
        model_provider=stored.model_provider or default_provider,
        model=loaded.settings.model if loaded else stored.recorded.get("model"),
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
        turns=list(turns),
    )


def _seconds(ms: int | None) -> int | UnsetType:
    return UNSET if ms is None else ms // 1000


def title_of(stored: StoredThread, length: int = 60) -> str:
    """Name, else preview, on one line."""
    return shortened(" ".join((stored.name or stored.preview or "(no message yet)").split()), length)


def shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


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
    the full lengths of these texts, by field (`content.0.text` if nested)."""
    if all(len(text) <= max_chars for text in all_texts(item.fields)):
        return item, {}
    truncated: dict[str, int] = {}
    shown = {name: _window(value, name, offset, max_chars, truncated) for name, value in item.items()}
    return Item(shown), truncated


def _window(value: Any, field: str, offset: int, max_chars: int, truncated: dict[str, int]) -> Any:
    match value:
        case str() if len(value) > max_chars and field.rpartition(".")[2] not in _NEVER_CUT:
            truncated[field] = len(value)
            return value[offset : offset + max_chars]
        case list():
            return [_window(part, f"{field}.{n}", offset, max_chars, truncated) for n, part in enumerate(value)]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        case dict():
            return {k: _window(v, f"{field}.{k}", offset, max_chars, truncated) for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value
