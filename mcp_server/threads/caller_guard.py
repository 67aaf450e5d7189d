"""An agent may not archive, delete or interrupt its own thread, nor one that it runs under."""

from __future__ import annotations

from mcp_server.errors import AmbiguousReference, DamagedRollout, InvalidThreadId, SelfHarm, ThreadNotFound
from mcp_server.models.params import Caller
from mcp_server.threads.catalog import Catalog


class Guard:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def caller_id(self, caller: Caller) -> str | None:
        """The thread that a call comes from: the first of the caller's names that is a thread of this home.

        Raises:
            AmbiguousReference: none is, and one fits several threads.
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
        except DamagedRollout:  # unreadable now; its edges are on record
            return True
        return True

    def threatened(self, reference: str, caller: Caller, *, itself: bool = True) -> tuple[str, str] | None:
        """(caller, target) if the target is an ancestor of the caller's thread, or that thread `itself`; None if the
        call may go on."""
        caller_id = self.caller_id(caller)
        if caller_id is None:
            return None
        target_id = self._catalog.resolve(reference)
        if target_id == caller_id:
            return (caller_id, target_id) if itself else None
        return (caller_id, target_id) if target_id in self._catalog.parents(caller_id) else None

    def check(self, reference: str, caller: Caller, refusal: type[SelfHarm], *, itself: bool = True) -> None:
        """Raises the refusal if the caller would end itself or an ancestor."""
        if (harm := self.threatened(reference, caller, itself=itself)) is not None:
            raise refusal(*harm)
