"""Start, resume, fork, unsubscribe: the verbs that load and close threads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from dataclasses import replace as with_fields

from msgspec.structs import asdict, replace

from mcp_server.codex import writer as recording
from mcp_server.codex.files import RolloutRef, rollout_of
from mcp_server.codex.lines import RolloutLine, encode_line
from mcp_server.codex.paths import parse_id
from mcp_server.errors import (
    AmbiguousReference,
    InvalidArgument,
    NotMaterialized,
    RolloutNameTaken,
    StoreFailure,
    ThreadArchived,
    ThreadDeleted,
    ThreadNotFound,
)
from mcp_server.models.params import Caller, ForkParams, SettingsRequest, StartParams
from mcp_server.models.records import Change
from mcp_server.models.results import LoadedThreadResult, ThreadReadResult, UnsubscribeResult
from mcp_server.models.thread import Settings, StoredThread, Thread, spawn_depth
from mcp_server.models.value import plain
from mcp_server.storage.contracts import Leases, Rollouts
from mcp_server.threads import notices
from mcp_server.threads.caller_guard import Guard
from mcp_server.threads.catalog import Catalog, checked_name
from mcp_server.threads.loaded import LoadedThread
from mcp_server.threads.reader import Reader
from mcp_server.threads.settings import Defaults, differing, override, recorded_settings
from mcp_server.threads.turn_index import FULL_ID_CHARS
from mcp_server.threads.turns import TurnWriter, check_history_mode
from mcp_server.threads.views import thread_view

logger = logging.getLogger(__name__)
_RETRY_MS = 60_000


class Lifecycle:
    """Loads and closes threads. `unload_delay`: seconds that a thread without subscribers stays loaded."""

    def __init__(
        self,
        catalog: Catalog,
        locks: Leases,
        reader: Reader,
        turns: TurnWriter,
        *,
        defaults: Defaults,
        new_memory: Callable[[], Rollouts],
        now_ms: Callable[[], int],
        unload_delay: float = 0.0,
        version: str = "",
    ) -> None:
        self._catalog, self._locks, self._reader, self._turns = catalog, locks, reader, turns
        self._loaded, self._guard = catalog.loaded, Guard(catalog)
        self._defaults, self._new_memory, self._now, self._version = defaults, new_memory, now_ms, version
        self._unload_delay_ms = unload_delay * 1000

    # ------------------------------------------------------------------------------------------ start

    def start(self, params: StartParams, caller: Caller) -> LoadedThreadResult:
        """Create a thread in memory. Until its first message only its writer lock is on disk (Codex: deferred
        persistence)."""
        self._loaded.check_room()
        parent = self._parent(params)
        base = self._settings_of(parent) if parent else self._defaults.settings()
        settings = override(base, params.settings)
        thread = self._new_thread(params, caller, parent, settings)
        pending = [_meta_line(thread, params.base_instructions)]
        if params.developer_instructions:
            pending += recording.developer_message(params.developer_instructions, self._now())
        pending += recording.settings_applied(thread.id, settings, self._now())
        loaded = LoadedThread(thread, settings, self._rollouts_for(params.ephemeral), ephemeral=params.ephemeral)
        loaded.pending = pending
        handle = self._load(loaded, caller)
        self._catalog.record(Change(events=(notices.started(self.view(loaded)),)))
        suggested: str | None = None
        with suppress(AmbiguousReference):
            suggested = self._guard.caller_id(caller) if not parent else None
        return self._answer(loaded, handle, suggested=suggested)

    def _parent(self, params: StartParams) -> StoredThread | None:
        if params.parent_thread_id is None:
            return None
        if params.ephemeral:
            why = "a thread with a parent is always stored"
            raise InvalidArgument("ephemeral", True, why, "leave out ephemeral or parent_thread_id")
        parent = self._catalog.known(self._catalog.resolve(params.parent_thread_id))
        if parent.archived:
            raise ThreadArchived(parent.id)
        return parent

    def _settings_of(self, stored: StoredThread) -> Settings:
        loaded = self._loaded.get(stored.id)
        if loaded is not None:
            return loaded.settings
        return recorded_settings(self._defaults.settings(), stored.recorded, stored.cwd, stored.model_provider)

    def _new_thread(
        self, params: StartParams, caller: Caller, parent: StoredThread | None, settings: Settings
    ) -> StoredThread:
        thread_id = recording.new_id()
        now = self._now()
        source: object = "mcp"
        if parent is not None:
            source = recording.spawn_source(
                parent.id, spawn_depth(parent.source) + 1, params.agent_nickname, params.agent_role
            )
        name = checked_name(params.name) if params.name is not None else None
        rollout = self._catalog.rollouts.new(thread_id, now)
        return StoredThread(
            id=thread_id,
            **asdict(rollout),
            archived=False,
            created_at_ms=now,
            updated_at_ms=now,
            recency_at_ms=now,
            session_id=(parent.session_id or parent.id) if parent else thread_id,
            parent_thread_id=parent.id if parent else None,
            name=name,
            source=source,
            thread_source="subagent" if parent else None,
            agent_nickname=params.agent_nickname,
            agent_role=params.agent_role,
            model_provider=settings.model_provider,
            cwd=settings.cwd,
            cli_version=self._version,
            originator=" ".join(part for part in (caller.client_name, caller.client_version) if part),
            recorded=plain(settings),
            turn_count=0,
        )

    # ------------------------------------------------------------------------------------------ resume

    def resume(self, reference: str, request: SettingsRequest, caller: Caller, turns: int) -> LoadedThreadResult:
        """Load a stored thread, or subscribe to a loaded one. Changes neither its file nor `updated_at`."""
        thread_id = self._catalog.resolve(reference)
        with self._loaded.cascade_lock:
            with self._loaded.exclusively([thread_id]):
                loaded = self._loaded.get(thread_id)
                ignored = differing(loaded.settings, request) if loaded is not None else []
                if loaded is None:
                    loaded, handle = self._load_stored(thread_id, request, caller)
                else:
                    handle = self._rejoin(loaded, caller)
            return self._answer_with_turns(loaded, handle, turns, ignored=ignored)

    def _load_stored(self, thread_id: str, request: SettingsRequest, caller: Caller) -> tuple[LoadedThread, str]:
        stored = self._loadable(thread_id)
        settings = override(self._settings_of(stored), request)
        self._loaded.check_room()
        loaded = LoadedThread(stored, settings, self._catalog.rollouts, has_rollout=True)
        handle = self._load(loaded, caller)
        current = self._catalog.lookup.find(thread_id)
        if current is None or current.archived:  # deleted or archived before we had the lock
            self._unload(loaded)
            raise ThreadArchived(thread_id) if current else ThreadNotFound(thread_id)
        try:
            self._turns.check_appendable(current)
            current = self._turns.decompressed(current)
        except StoreFailure:
            self._unload(loaded)
            raise
        loaded.thread = current
        self._catalog.record(Change(events=(notices.status_changed(loaded),)))
        return loaded, handle

    def _rejoin(self, loaded: LoadedThread, caller: Caller) -> str:
        if not loaded.has_rollout and not loaded.ephemeral:
            raise NotMaterialized(loaded.thread.id, "thread_resume")
        return self._loaded.subscribe(loaded.thread.id, caller.connection, self._loaded.elapsed_ms())

    def _loadable(self, thread_id: str) -> StoredThread:
        stored = self._catalog.lookup.find(thread_id)
        if stored is None:
            if self._catalog.log.deleted([thread_id]):
                raise ThreadDeleted(thread_id)
            raise ThreadNotFound(thread_id)
        if stored.archived:
            raise ThreadArchived(thread_id)
        check_history_mode(stored)
        return stored

    # ------------------------------------------------------------------------------------------ fork

    def fork(self, params: ForkParams, caller: Caller) -> LoadedThreadResult:
        """Copy a thread's history, whole or up to a turn, into a new thread. The source is not changed."""
        source_id = self._catalog.resolve(params.thread_id)
        return self._catalog.retry_if_moved(source_id, lambda: self._fork(source_id, params, caller))

    def _fork(self, source_id: str, params: ForkParams, caller: Caller) -> LoadedThreadResult:
        if params.last_turn_id is not None and params.before_turn_id is not None:
            raise InvalidArgument(
                "before_turn_id",
                params.before_turn_id,
                "before_turn_id can't be combined with last_turn_id",
                "pass one of the two",
            )
        self._loaded.check_room()
        loaded_source = self._loaded.get(source_id)
        if loaded_source is not None and not loaded_source.has_rollout:
            raise NotMaterialized(source_id, "thread_fork")
        source = loaded_source.thread if loaded_source else self._catalog.known(source_id)
        if source.archived:
            raise ThreadArchived(source_id)
        settings = override(self._settings_of(source), params.settings)
        name = params.name if params.name is not None else source.name
        start = StartParams(name=name, ephemeral=params.ephemeral)
        fork = replace(self._new_thread(start, caller, None, settings), forked_from_id=source_id, git=source.git)
        rollouts = self._rollouts_for(params.ephemeral)
        source_rollouts = loaded_source.rollouts if loaded_source else self._catalog.rollouts
        if loaded_source is None or not loaded_source.ephemeral:
            params = self._with_whole_turn_ids(source, params)
        copied_lines = self._turns.copied_lines(source_rollouts, source, params, fork.created_at_ms)
        loaded = LoadedThread(fork, settings, rollouts, ephemeral=params.ephemeral, has_rollout=True)
        with rollouts.drafted(rollout_of(fork), self._fork_lines(loaded, copied_lines)) as put:
            handle = self._load(loaded, caller)
            # from here on the fork is stored even if the caller disconnects
            self._write_fork(loaded, put)
        return self._answer_with_turns(loaded, handle, 5)

    def _with_whole_turn_ids(self, source: StoredThread, params: ForkParams) -> ForkParams:
        """The parameters with whole ids where turns are named by the beginnings of theirs."""

        def whole(turn_id: str | None) -> str | None:
            if turn_id is None or len(turn_id) >= FULL_ID_CHARS:
                return turn_id
            span = self._catalog.history(source).span_of(turn_id)
            return span.turn_id if span else turn_id

        return with_fields(params, last_turn_id=whole(params.last_turn_id), before_turn_id=whole(params.before_turn_id))

    def _fork_lines(self, fork: LoadedThread, copied_lines: Generator[bytes]) -> Generator[bytes]:
        """The bytes of a fork's rollout."""
        yield encode_line(_meta_line(fork.thread, None))
        with closing(copied_lines):
            yield from copied_lines
        yield b"".join(map(encode_line, recording.settings_applied(fork.thread.id, fork.settings, self._now())))

    def _write_fork(self, fork: LoadedThread, put: Callable[[], RolloutRef]) -> None:
        try:
            put()
            self._turns.refresh_metadata(fork)
        except StoreFailure as error:
            try:
                if not isinstance(error, RolloutNameTaken):
                    fork.rollouts.remove(rollout_of(fork.thread))
            finally:
                self._unload(fork)
            raise
        self._catalog.record(
            Change(threads=() if fork.ephemeral else (fork.thread,), events=(notices.started(self.view(fork)),))
        )

    # ------------------------------------------------------------------------------------------ leaving

    def unsubscribe(self, reference: str | None, subscription_id: str | None, caller: Caller) -> UnsubscribeResult:
        """Unsubscribe the handle, or without one the connection. The last subscriber to leave closes the thread."""
        thread_id = self._thread_to_leave(reference, subscription_id)
        self._loaded.wait_until_free(thread_id)
        if self._loaded.get(thread_id) is None:
            return UnsubscribeResult(thread_id=thread_id, status="notLoaded" if thread_id else "notSubscribed")
        if not self._loaded.leavers(thread_id, subscription_id, caller.connection):
            return UnsubscribeResult(thread_id=thread_id, status="notSubscribed")
        if subscription_id is not None:
            self._loaded.unsubscribe_handle(subscription_id)
        elif caller.connection is not None:
            self._loaded.unsubscribe_connection(caller.connection, thread_id)
        self.close_if_unsubscribed(thread_id)
        return UnsubscribeResult(thread_id=thread_id, status="unsubscribed")

    def would_interrupt(self, reference: str | None, subscription_id: str | None, caller: Caller) -> str | None:
        """The thread whose running turn `unsubscribe` would interrupt; None if it would interrupt none."""
        thread_id = self._thread_to_leave(reference, subscription_id)
        loaded = self._loaded.get(thread_id)
        if loaded is None or loaded.turn is None or self._unload_delay_ms:
            return None
        leavers = self._loaded.leavers(thread_id, subscription_id, caller.connection)
        return thread_id if leavers and not self._loaded.subscribed(thread_id, without=leavers) else None

    def _thread_to_leave(self, reference: str | None, subscription_id: str | None) -> str:
        """The id of the thread to unsubscribe from; "" if the handle is unknown."""
        if reference is None and subscription_id is None:
            why = "neither it nor thread_id says which thread is meant"
            raise InvalidArgument("subscription_id", None, why, "pass one of the two")
        if reference is None:
            subscription = self._loaded.handle(subscription_id) if subscription_id else None
            return subscription.thread_id if subscription else ""
        try:
            return self._catalog.resolve(reference)
        except ThreadNotFound:
            return parse_id(reference) or reference

    def unsubscribe_connection(self, connection: str) -> None:
        """Unsubscribe a connection that ended from all its threads."""
        for thread_id in self._loaded.threads_of(connection):
            self._loaded.unsubscribe_connection(connection, thread_id)
            self.close_if_unsubscribed(thread_id)
        self._loaded.remove_connection(connection)

    def close_if_unsubscribed(self, thread_id: str) -> None:
        """If the thread has no subscriber, close it, or begin its unload delay."""
        loaded = self._loaded.get(thread_id)
        if loaded is None or loaded.closing or self._loaded.subscribed(thread_id):
            return
        if self._unload_delay_ms and loaded.unsubscribed_at_ms is None:
            loaded.unsubscribed_at_ms = self._loaded.elapsed_ms()
            return
        self.close(loaded)

    def close_idle(self) -> None:
        """Remove expired handles, and close threads without subscribers whose unload delay is over."""
        now = self._loaded.elapsed_ms()
        for handle in self._loaded.expired_handles(now):
            subscription = self._loaded.handle(handle)
            if subscription is not None and self._loaded.unsubscribe_handle(handle):
                self.close_if_unsubscribed(subscription.thread_id)
        for loaded in self._loaded.all():
            idle_since = loaded.unsubscribed_at_ms
            if idle_since is not None and loaded.turn is None and now - idle_since >= self._unload_delay_ms:
                try:
                    self.close(loaded)
                except Exception:  # one thread must not keep the others open
                    logger.exception("Could not close thread %s; will try again", loaded.thread.id)
                    loaded.closing, loaded.unsubscribed_at_ms = False, now + _RETRY_MS

    def close(self, loaded: LoadedThread, *, at_the_end: bool = False) -> None:
        """Interrupt the running turn, unload the thread, then announce notLoaded and closed. Does nothing if somebody
        subscribed again meanwhile, unless the server shuts down (`at_the_end`)."""
        thread_id = loaded.thread.id
        with self._loaded.exclusively([thread_id]):
            unloaded = self._loaded.get(thread_id) is not loaded  # by a cascade, while this call waited
            if unloaded or (not at_the_end and self._loaded.subscribed(thread_id)):
                return
            loaded.closing = True
            with loaded.lock:
                if loaded.turn is not None:
                    try:
                        self._turns.interrupt(loaded)
                    except StoreFailure as error:  # a turn without an end is read as interrupted
                        logger.warning("Could not record the interrupted turn of thread %s: %s", thread_id, error)
                self._unload(loaded)
            self._catalog.record(Change(events=(notices.not_loaded(thread_id), notices.closed(thread_id))))

    def close_all(self) -> None:
        """Close all loaded threads, as the server shuts down."""
        for loaded in self._loaded.all():
            self.close(loaded, at_the_end=True)

    # ------------------------------------------------------------------------------------------ shared

    def _rollouts_for(self, ephemeral: bool) -> Rollouts:
        return self._new_memory() if ephemeral else self._catalog.rollouts

    def _load(self, loaded: LoadedThread, caller: Caller) -> str:
        if not loaded.ephemeral:
            self._locks.acquire([loaded.thread.id])
        try:
            self._loaded.add(loaded)
            return self._loaded.subscribe(loaded.thread.id, caller.connection, self._loaded.elapsed_ms())
        except BaseException:
            self._unload(loaded)
            raise

    def _unload(self, loaded: LoadedThread) -> None:
        self._loaded.remove(loaded.thread.id)
        if not loaded.ephemeral:
            self._locks.release([loaded.thread.id])

    def view(self, loaded: LoadedThread) -> Thread:
        (tagged,) = self._catalog.with_tags([loaded.thread])
        return thread_view(tagged, loaded.rollouts, loaded)

    def _answer(
        self,
        loaded: LoadedThread,
        handle: str,
        *,
        page: ThreadReadResult | None = None,
        suggested: str | None = None,
        ignored: Sequence[str] = (),
    ) -> LoadedThreadResult:
        return LoadedThreadResult(
            **asdict(loaded.settings),
            thread=self.view(loaded),
            turns=page.turns if page else [],
            subscription_id=handle,
            turns_next_cursor=page.next_cursor if page else None,
            cursors=page.cursors if page else [],
            suggested_parent_thread_id=suggested,
            ignored_overrides=list(ignored),
        )

    def _answer_with_turns(
        self, loaded: LoadedThread, handle: str, limit: int, ignored: Sequence[str] = ()
    ) -> LoadedThreadResult:
        try:
            page = self._reader.last_turns(loaded, limit)
        except StoreFailure:  # the caller gets no answer, so no handle either
            self._loaded.unsubscribe_handle(handle)
            self.close_if_unsubscribed(loaded.thread.id)
            raise
        return self._answer(loaded, handle, page=page, ignored=ignored)


def _meta_line(thread: StoredThread, base_instructions: str | None) -> RolloutLine:
    return recording.session_meta(
        thread.id,
        session_id=thread.session_id or thread.id,
        created_at_ms=thread.created_at_ms,
        cwd=thread.cwd,
        originator=thread.originator or "threadstore",
        cli_version=thread.cli_version,
        source=thread.source,
        model_provider=thread.model_provider,
        base_instructions=base_instructions,
        parent_thread_id=thread.parent_thread_id,
        forked_from_id=thread.forked_from_id,
        thread_source=thread.thread_source,
        agent_nickname=thread.agent_nickname,
        agent_role=thread.agent_role,
        git=thread.git,
    )
