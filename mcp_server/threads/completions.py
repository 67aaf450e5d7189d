"""What a person who types a thread, a topic or a folder may mean."""

from __future__ import annotations

from collections.abc import Iterable

from mcp_server.models.thread import StoredThread
from mcp_server.models.words import plain_text
from mcp_server.storage.query import ThreadQuery
from mcp_server.threads.catalog import Catalog

# The named threads that are looked at: those worked on last.
_NAMED = ThreadQuery(archived=None, with_preview=None, attached=None, named=True, sort_key="recency_at", limit=1_000)


class Completer:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def names(self, typed: str) -> list[str]:
        """Names that hold what was typed, whatever its case and accents: those that begin with it first, otherwise
        what was worked on last first."""
        return _best(typed, [thread.name or "" for thread in self._named(typed)])

    def ids(self, typed: str, limit: int) -> list[str]:
        """Ids that begin with what was typed; and those of the threads whose names hold it."""
        prefix = typed.strip().lower()
        loaded = (thread_id for thread_id in self._catalog.loaded.ids() if thread_id.startswith(prefix))
        stored = self._catalog.lookup.index().matching(prefix=prefix, limit=limit)
        called = [thread.id for thread in self._named(typed)] if prefix else []
        return list(dict.fromkeys((*sorted({*loaded, *stored})[:limit], *called)))

    def folders(self, typed: str) -> list[str]:
        """Working directories that hold what was typed: those that begin with it, or whose own name does, first,
        otherwise those with the most threads."""
        counts = self._catalog.lookup.index().cwds()
        return _best(typed, sorted((cwd for cwd in counts if cwd), key=lambda cwd: (-counts[cwd], cwd)))

    def _named(self, typed: str) -> list[StoredThread]:
        wanted = plain_text(typed.strip())
        loaded = {one.thread.id: one.thread for one in self._catalog.loaded.all()}
        stored = self._catalog.lookup.index(names=True).list(_NAMED).rows
        known = {**{thread.id: thread for thread in stored}, **loaded}
        found = [thread for thread in known.values() if thread.name and wanted in plain_text(thread.name)]
        return sorted(found, key=lambda thread: (thread.archived, -thread.recency_at_ms))


def _best(typed: str, known: Iterable[str]) -> list[str]:
    wanted = plain_text(typed.strip())
    found = [one for one in dict.fromkeys(known) if wanted in plain_text(one)]
    return sorted(found, key=lambda one: not _begins(plain_text(one), wanted))


def _begins(text: str, wanted: str) -> bool:
    return text.startswith(wanted) or text.replace("\\", "/").rstrip("/").rpartition("/")[2].startswith(wanted)
