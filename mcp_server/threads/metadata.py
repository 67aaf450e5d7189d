"""Names and git info."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack

from msgspec.structs import replace

from mcp_server.errors import DamagedRollout, EphemeralThread, InvalidArgument, PaginatedHistory, ThreadArchived
from mcp_server.models.params import GitPatch
from mcp_server.models.results import ThreadResult
from mcp_server.models.rollout import MalformedLine, decode_line, encode_line
from mcp_server.models.thread import FileStamp, GitInfo, StoredThread
from mcp_server.stores.base import RolloutStore
from mcp_server.stores.records import Change
from mcp_server.stores.writer_locks import WriterLocks
from mcp_server.threads import notices, recording
from mcp_server.threads.catalog import Catalog, checked_name, checked_text
from mcp_server.threads.live import LiveThread
from mcp_server.threads.reading import Reader
from mcp_server.threads.turns import TurnWriter, stamped


class Metadata:
    def __init__(
        self, catalog: Catalog, locks: WriterLocks, turns: TurnWriter, reader: Reader, now_ms: Callable[[], int]
    ) -> None:
        self._catalog, self._locks, self._turns, self._reader, self._now = catalog, locks, turns, reader, now_ms
        self._live = catalog.live

    async def set_name(self, reference: str, name: str) -> ThreadResult:
        """Set a name, trimmed. A fresh thread is materialised first. Works while another process writes the thread.

        The name goes into session_index.jsonl, where Codex keeps it and reads it back; its rollout gets no line.

        Raises:
            InvalidArgument: a blank name.
            ThreadArchived: as in Codex, archived threads are not renamed.
        """
        if not name.strip():
            raise InvalidArgument("name", name, "thread name must not be empty", "pass a name with at least one letter")
        trimmed = checked_name(name)
        thread_id = await self._catalog.resolve(reference)
        live = self._live.get(thread_id)
        if live is None:
            named = replace(await self._active(thread_id), name=trimmed)
            return await self._named(named)
        if live.ephemeral:
            raise EphemeralThread(thread_id, "thread_set_name")
        async with live.writing():
            await self._turns.materialise(live)
            live.thread = replace(live.thread, name=trimmed)
            return await self._named(live.thread)

    async def _named(self, thread: StoredThread) -> ThreadResult:
        await self._catalog.rollouts.append_name(thread.id, thread.name or "", self._now())
        await self._catalog.record(Change(threads=(thread,), events=(notices.name_updated(thread),)))
        return ThreadResult(thread=self._reader.view(thread))

    async def _active(self, thread_id: str) -> StoredThread:
        stored = await self._catalog.known(thread_id)
        if stored.archived:
            raise ThreadArchived(thread_id)
        return stored

    async def set_git(self, reference: str, patch: GitPatch) -> ThreadResult:
        """Set, clear or leave each git field. Appends a session_meta line with the new values, as Codex does.

        Raises:
            InvalidArgument: no field, or a blank one.
            PaginatedHistory: Codex keeps such a thread's git info in its own database.
            ActiveWriter: another process writes the thread.
        """
        if not patch.fields:
            raise InvalidArgument("git_info", {}, "gitInfo must include at least one field", "pass one to set or null")
        for field, value in patch.fields.items():
            if value is not None and not checked_text(f"git_info.{field}", value, blank=True).strip():
                raise InvalidArgument(
                    f"git_info.{field}", value, f"gitInfo.{field} must not be empty", "pass a value, or null to clear"
                )
        thread_id = await self._catalog.resolve(reference)
        live = self._live.get(thread_id)
        if live is not None:
            return await self._set_git_live(live, patch)
        async with AsyncExitStack() as stack:
            stored = await self._catalog.known(thread_id)
            if stored.history_mode != "legacy":
                raise PaginatedHistory(thread_id)
            await self._locks.acquire(thread_id)
            stack.push_async_callback(self._locks.release, thread_id)
            changed = replace(stored, git=_patched(stored.git, patch))
            stamp = await self._append(self._catalog.rollouts, changed)
            changed = replace(changed, stamp=stamp, updated_at_ms=stamp.mtime_ns // 1_000_000)
            await self._catalog.record(Change(threads=(changed,)))
            return ThreadResult(thread=self._reader.view(changed))

    async def _set_git_live(self, live: LiveThread, patch: GitPatch) -> ThreadResult:
        if live.ephemeral:
            raise EphemeralThread(live.thread.id, "metadata updates")
        async with live.writing():
            await self._turns.materialise(live)
            changed = replace(live.thread, git=_patched(live.thread.git, patch))
            stamp = await self._append(live.rollouts, changed)
            live.thread = changed
            live.thread = stamped(live, stamp)
            await self._catalog.record(Change(threads=(live.thread,)))
            return ThreadResult(thread=self._reader.view(live.thread))

    async def _append(self, rollouts: RolloutStore, thread: StoredThread) -> FileStamp:
        async for batch in rollouts.lines(thread.path):
            for raw in batch:
                try:
                    line = decode_line(raw.data)
                except MalformedLine:
                    continue
                if line.type == "session_meta":
                    updated = recording.git_updated(line.payload, thread.git or GitInfo(), self._now())
                    return await rollouts.append(thread.path, encode_line(updated))
        raise DamagedRollout(thread.path, "does not start with session metadata")


def _patched(git: GitInfo | None, patch: GitPatch) -> GitInfo | None:
    merged = replace(git or GitInfo(), **patch.fields)
    return None if merged == GitInfo() else merged
