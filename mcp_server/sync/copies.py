"""The copies of threads' files that the index remembers, as one run of a sync sees and changes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from mcp_server.models.records import Copy
from mcp_server.storage.contracts import StateStore


class KnownCopies:
    """The copies that a store remembers, read once and kept in step with what one run finds."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._known: dict[str, Copy] | None = None
        self._of: defaultdict[str, set[str]] = defaultdict(set)

    def of(self, thread_ids: Iterable[str]) -> list[Copy]:
        known = self._all()
        return [known[path] for thread_id in thread_ids for path in sorted(self._of.get(thread_id, ()))]

    def note(self, found: Iterable[Copy], others: Iterable[str] = ()) -> None:
        """Make the store remember these copies, and forget those of the `others` (paths) that it took for copies."""
        known = self._all()
        new = [copy for copy in found if known.get(copy.path) != copy]
        settled = known.keys() & set(others)
        if new or settled:
            self._store.note_copies(new, settled)
            for path in (*settled, *(copy.path for copy in new if copy.path in known)):
                self._of[known.pop(path).thread_id].discard(path)
            self._take(known, new)

    def _all(self) -> dict[str, Copy]:
        if self._known is None:
            self._known = {}
            self._take(self._known, self._store.copies())
        return self._known

    def _take(self, known: dict[str, Copy], copies: Iterable[Copy]) -> None:
        for copy in copies:
            known[copy.path] = copy
            self._of[copy.thread_id].add(copy.path)
