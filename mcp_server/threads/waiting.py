"""How the turn of a thread stands: whether it runs, wherever that is, and what came of it."""

from __future__ import annotations

from msgspec import UNSET

from mcp_server.models.results import TurnOutcome
from mcp_server.models.turn import Turn
from mcp_server.storage.contracts import Leases
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.turn_index import History

_MESSAGE_CHARS, _ERROR_CHARS = 2_000, 1_000


class TurnWatch:
    """Looks at the last turn of threads."""

    def __init__(self, catalog: Catalog, locks: Leases) -> None:
        self._catalog, self._locks = catalog, locks

    def outcome(self, thread_id: str) -> TurnOutcome:
        """How the last turn of a thread stands, with its last message. A turn runs as long as it has no end and some
        process holds the thread.

        Raises:
            ThreadNotFound, DamagedRollout: as `Catalog.known`.
        """
        stored = self._catalog.known(thread_id)
        loaded = self._catalog.loaded.get(thread_id)
        if loaded is not None and not loaded.has_rollout:
            return TurnOutcome(thread_id=thread_id, running=False)
        # Looked at before the history, so that a turn which ends meanwhile is not taken for one without an end.
        may_run = loaded.turn is not None if loaded else thread_id in self._locks.foreign()
        history = self._catalog.history(stored, last=1)
        number = history.checkpoint.turns
        (span,) = history.spans(number - 1, number) or (None,)
        if span is None:
            return TurnOutcome(thread_id=thread_id, running=False)
        running = may_run and span.facts.status == "inProgress"
        (turn,) = history.show([span], "summary")
        return _told(thread_id, turn, history, running=running)


def _told(thread_id: str, turn: Turn, history: History, *, running: bool) -> TurnOutcome:
    said = next((str(item.get("text", "")) for item in reversed(turn.items) if item.type == "agentMessage"), "")
    used = history.used_in(history.checkpoint.turns - 1, history.checkpoint.turns).get(turn.id, UNSET)
    return TurnOutcome(
        thread_id=thread_id,
        running=running,
        turn_id=turn.id,
        status="inProgress" if running else turn.status,
        error=turn.error.message[:_ERROR_CHARS] if turn.error else UNSET,
        message=said[:_MESSAGE_CHARS] or UNSET,
        message_chars=len(said) if len(said) > _MESSAGE_CHARS else UNSET,
        tokens=used,
    )
