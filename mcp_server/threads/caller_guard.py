"""Keeps an agent from archiving, deleting or interrupting its own thread or an ancestor of it."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_server.errors import AmbiguousReference, DamagedRollout, InvalidThreadId, SelfHarm, ThreadNotFound
from mcp_server.models.params import Caller
from mcp_server.threads.catalog import Catalog


class Guard:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def caller_id(self, caller: Caller) -> str | None:
        """The thread that a call comes from: the first of the caller's names that resolves to a thread of this home.

        Raises:
            AmbiguousReference: none resolves, and one matches several threads.
        """
        ambiguous: AmbiguousReference | None = None
        for name in caller.thread_names:
            try:
                thread_id = self._catalog.resolve(name)
                if self._is_there(thread_id):
                    return thread_id
            except (ThreadNotFound, InvalidThreadId):
                continue
            except AmbiguousReference as error:
                ambiguous = ambiguous or error
        if ambiguous is not None:
            raise ambiguous
        return None

    def _is_there(self, thread_id: str) -> bool:
        try:
            self._catalog.known(thread_id)
        except ThreadNotFound:
            return False
        except DamagedRollout:  # it exists, and its edges are in the index
            return True
        return True

    def self_harm(self, references: Sequence[str], caller: Caller, *, itself: bool = True) -> tuple[str, str] | None:
        """(caller, target) if a target is the caller's own thread (unless `itself` is false) or an ancestor of it; None
        if the call may proceed. Of several targets, unknown ones harm nobody."""
        caller_id = self.caller_id(caller)
        if caller_id is None:
            return None
        above = self._catalog.parents(caller_id)
        for reference in references:
            try:
                target_id = self._catalog.resolve(reference)
            except ThreadNotFound:
                if len(references) == 1:
                    raise
                continue
            if target_id in above or (itself and target_id == caller_id):
                return caller_id, target_id
        return None

    def check(self, references: Sequence[str], caller: Caller, refusal: type[SelfHarm], *, itself: bool = True) -> None:
        """Raises `refusal` if the call would end the caller's own thread or an ancestor of it."""
        if (harm := self.self_harm(references, caller, itself=itself)) is not None:
            raise refusal(*harm)
