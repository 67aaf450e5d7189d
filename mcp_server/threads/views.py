"""A thread as clients see it, made from what is stored and what is loaded."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET, UnsetType

from mcp_server.models.thread import NOT_LOADED, StoredThread, Thread, ThreadStatus, wire_source
from mcp_server.models.turn import Turn
from mcp_server.storage.contracts import RolloutStore
from mcp_server.threads.loaded import LiveThread

# A preview is shown up to here (Codex shows all of it): a hundred of them must fit one answer.
_PREVIEW_CHARS = 2_000


def thread_view(
    stored: StoredThread,
    rollouts: RolloutStore,
    live: LiveThread | None = None,
    turns: Sequence[Turn] = (),
    *,
    default_provider: str = "",
) -> Thread:
    """Codex's Thread. Status and settings come from the loaded thread where there is one.

    Codex shows a stored, unloaded thread's own id as its session id; here it is the root's wherever it is recorded.
    """
    status: ThreadStatus = live.status if live else NOT_LOADED
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
        ephemeral=live.ephemeral if live else False,
        path=None if live and live.ephemeral else rollouts.absolute(stored.path.removesuffix(".zst")),
        cwd=stored.cwd,
        created_at=stored.created_at_ms // 1000,
        updated_at=stored.updated_at_ms // 1000,
        recency_at=stored.recency_at_ms // 1000,
        model_provider=stored.model_provider or default_provider,
        model=live.settings.model if live else stored.recorded.get("model"),
        reasoning_effort=live.settings.reasoning_effort if live else stored.recorded.get("reasoning_effort"),
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
