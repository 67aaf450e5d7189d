"""Loaded threads: the state that a process keeps in memory while it holds a thread's writer lock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import uuid_utils

from mcp_server.codex.fork import Numbering
from mcp_server.codex.lines import RolloutLine
from mcp_server.codex.open_calls import OpenCalls
from mcp_server.codex.parser import TurnBuilder
from mcp_server.errors import LimitReached, ThreadClosing, ThreadNotLoaded
from mcp_server.models.thread import ACTIVE, IDLE, SYSTEM_ERROR, Settings, StoredThread, ThreadStatus
from mcp_server.models.times import elapsed_ms
from mcp_server.models.turn import Item, Turn
from mcp_server.storage.contracts import Rollouts
from mcp_server.storage.serialised import one_at_a_time

# An unused subscription handle expires after this time.
HANDLE_LIFE_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class LoadedLimits:
    """How many there may be at a time."""

    threads: int = 1_000
    """Each costs a lock file and an open descriptor."""
    subscriptions: int = 10_000


@dataclass
class RunningTurn:
    """The open turn, built up line by line. `last_message` is the newest agent message."""

    id: str
    started_at_ms: int
    root_id: str
    builder: TurnBuilder
    calls: OpenCalls = field(default_factory=OpenCalls)
    last_message: str | None = None

    def view(self) -> Turn:
        return self.builder.turns()[-1]

    def feed(self, lines: Sequence[RolloutLine]) -> list[Item]:
        """Add written lines; returns the items that they created or changed, in order."""
        changed: dict[str, Item] = {}
        for line in lines:
            self.builder.feed(line)
            changed.update((item.id, item) for _, item in self.builder.last_items)
        return list(changed.values())


@dataclass
class LoadedThread:
    """One loaded thread. `pending` are the lines to write before its first user message; `rollouts` is the store that
    its lines go to."""

    thread: StoredThread
    settings: Settings
    rollouts: Rollouts
    ephemeral: bool = False
    has_rollout: bool = False
    pending: list[RolloutLine] = field(default_factory=list[RolloutLine])
    turn: RunningTurn | None = None
    # Number of the next synthetic item id (`item-7`); None until the history's items were counted.
    next_item: int | None = None
    # Tool calls of ended turns that still have no output.
    open_calls: frozenset[str] = frozenset()
    # Numbers the lines of a paginated history; None in a legacy one.
    numbering: Numbering | None = None
    failed: bool = False
    # The name is not in session_index.jsonl yet.
    name_unsaved: bool = False
    closing: bool = False
    unsubscribed_at_ms: int | None = None
    # Held from the reads of a verb to its writes.
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def writing(self) -> Generator[None]:
        """Hold the thread's lock to write to it.

        Raises:
            ThreadClosing: the thread closes or is closed; another process may hold its writer lock by now.
        """
        with self.lock:
            if self.closing:
                raise ThreadClosing(self.thread.id)
            yield

    @property
    def paginated(self) -> bool:
        return self.thread.history_mode == "paginated"

    @property
    def status(self) -> ThreadStatus:
        """Codex's derivation: a running turn is active, a failed last turn systemError, anything else idle."""
        if self.turn is not None:
            return ACTIVE
        return SYSTEM_ERROR if self.failed else IDLE


@dataclass
class Subscription:
    """A subscription handle. `connection` is the subscriber's; None if its transport has none."""

    id: str
    thread_id: str
    connection: str | None
    used_at_ms: int


@dataclass
class _RefCountedLock:
    """A lock that is deleted with its last user. `users` counts who holds it or waits for it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0


class LoadedThreads:
    """The registry of threads that this process has loaded, and of their subscribers.

    Subscribers are handles, and connections whose end the server sees (stdio, a legacy HTTP session).
    Order of locks: `cascade_lock`, then `exclusively`, then a loaded thread's own.
    """

    def __init__(self, limits: LoadedLimits | None = None, elapsed_ms: Callable[[], int] = elapsed_ms) -> None:
        self.limits = limits or LoadedLimits()
        self.elapsed_ms = elapsed_ms
        # As in Codex, resume, archive, unarchive and delete run one at a time.
        self.cascade_lock = threading.Lock()
        self._thread_locks: dict[str, _RefCountedLock] = {}
        self._threads: dict[str, LoadedThread] = {}
        self._handles: dict[str, Subscription] = {}
        self._connections: dict[str, set[str]] = {}
        self._moving: frozenset[str] = frozenset()

    @contextmanager
    def exclusively(self, thread_ids: Collection[str]) -> Generator[None]:
        """Keep other calls of this process from loading, closing or moving these threads, and from writing to those
        that are not loaded. (The writer locks keep other processes out.) Not reentrant."""
        with ExitStack() as held:
            for thread_id in sorted(set(thread_ids)):
                held.enter_context(self._hold(thread_id))
            yield

    def wait_until_free(self, thread_id: str) -> None:
        """Wait until no call loads, closes or moves the thread."""
        if thread_id in self._thread_locks:
            with self._hold(thread_id):
                pass

    @contextmanager
    def _hold(self, thread_id: str) -> Generator[None]:
        shared = self._take_lock(thread_id)
        try:
            with shared.lock:
                yield
        finally:
            self._return_lock(thread_id, shared)

    @one_at_a_time
    def _take_lock(self, thread_id: str) -> _RefCountedLock:
        shared = self._thread_locks.setdefault(thread_id, _RefCountedLock())
        shared.users += 1
        return shared

    @one_at_a_time
    def _return_lock(self, thread_id: str, shared: _RefCountedLock) -> None:
        shared.users -= 1
        if not shared.users:
            del self._thread_locks[thread_id]

    @one_at_a_time
    def ids(self) -> list[str]:
        return sorted(self._threads)

    @one_at_a_time
    def written_here(self) -> frozenset[str]:
        """The threads whose rollouts only this process may write. It keeps their rows itself."""
        return self._moving.union(loaded.thread.id for loaded in self._threads.values() if loaded.has_rollout)

    @contextmanager
    def keeping_rows_of(self, thread_ids: Collection[str]) -> Generator[None]:
        """Count these threads as `written_here` while their files move, so that our own watcher does not announce the
        moves out of order. The caller holds the cascade lock."""
        self._moving = frozenset(thread_ids)
        try:
            yield
        finally:
            self._moving = frozenset()

    @one_at_a_time
    def all(self) -> Iterable[LoadedThread]:
        return list(self._threads.values())

    def get(self, thread_id: str) -> LoadedThread | None:
        return self._threads.get(thread_id)

    @one_at_a_time
    def require(self, thread_id: str) -> LoadedThread:
        """The loaded thread.

        Raises:
            ThreadNotLoaded: it is not loaded here.
            ThreadClosing: it is closing.
        """
        loaded = self._threads.get(thread_id)
        if loaded is None:
            raise ThreadNotLoaded(thread_id)
        if loaded.closing:
            raise ThreadClosing(thread_id)
        return loaded

    @one_at_a_time
    def check_room(self) -> None:
        """Raises LimitReached if no more threads may be loaded."""
        if len(self._threads) >= (limit := self.limits.threads):
            raise LimitReached("too many loaded threads", limit, "unsubscribe from some with thread_unsubscribe")

    @one_at_a_time
    def add(self, loaded: LoadedThread) -> None:
        """Raises LimitReached as `check_room`: another call may have taken the last place since."""
        self.check_room()
        self._threads[loaded.thread.id] = loaded

    @one_at_a_time
    def remove(self, thread_id: str) -> LoadedThread | None:
        """Remove the thread and every subscription to it."""
        self._handles = {h: s for h, s in self._handles.items() if s.thread_id != thread_id}
        for threads in self._connections.values():
            threads.discard(thread_id)
        return self._threads.pop(thread_id, None)

    # ------------------------------------------------------------------------------------------ subscribers

    @one_at_a_time
    def subscribe(self, thread_id: str, connection: str | None, now_ms: int) -> str:
        """Create a handle for the caller, and subscribe its connection.

        Raises:
            LimitReached: too many handles.
        """
        if len(self._handles) >= (limit := self.limits.subscriptions):
            raise LimitReached("too many subscriptions", limit, "unsubscribe with thread_unsubscribe")
        handle = f"sub_{uuid_utils.uuid7().hex}"
        self._handles[handle] = Subscription(handle, thread_id, connection, now_ms)
        if connection is not None:
            self._connections.setdefault(connection, set()).add(thread_id)
        if (loaded := self._threads.get(thread_id)) is not None:
            loaded.unsubscribed_at_ms = None
        return handle

    @one_at_a_time
    def handle(self, subscription_id: str) -> Subscription | None:
        return self._handles.get(subscription_id)

    @one_at_a_time
    def unsubscribe_handle(self, subscription_id: str) -> bool:
        """Remove a handle. With its last handle on the thread, a connection is unsubscribed too."""
        subscription = self._handles.pop(subscription_id, None)
        if subscription is None:
            return False
        connection, thread_id = subscription.connection, subscription.thread_id
        if connection is not None and not any(
            s.connection == connection and s.thread_id == thread_id for s in self._handles.values()
        ):
            self._connections.get(connection, set()).discard(thread_id)
        return True

    @one_at_a_time
    def unsubscribe_connection(self, connection: str, thread_id: str) -> bool:
        """Remove a connection's subscription to one thread, with its handles; False if it had none."""
        had = thread_id in self._connections.get(connection, set())
        self._connections.get(connection, set()).discard(thread_id)
        self._handles = {
            h: s for h, s in self._handles.items() if not (s.connection == connection and s.thread_id == thread_id)
        }
        return had

    @one_at_a_time
    def remove_connection(self, connection: str) -> None:
        self._connections.pop(connection, None)

    @one_at_a_time
    def threads_of(self, connection: str) -> list[str]:
        return sorted(self._connections.get(connection, set()))

    @one_at_a_time
    def leavers(self, thread_id: str, subscription_id: str | None, connection: str | None) -> frozenset[str]:
        """The handles and connections that unsubscribing by this handle (or, without one, by this connection) would
        remove from the thread."""
        of_thread = [s for s in self._handles.values() if s.thread_id == thread_id]
        if subscription_id is None:
            if connection is None or thread_id not in self._connections.get(connection, set()):
                return frozenset()
            return frozenset({connection, *(s.id for s in of_thread if s.connection == connection)})
        handle = next((s for s in of_thread if s.id == subscription_id), None)
        if handle is None:
            return frozenset()
        last = not any(s.connection == handle.connection for s in of_thread if s is not handle)
        return frozenset({handle.id, handle.connection} if handle.connection and last else {handle.id})

    @one_at_a_time
    def subscribed(self, thread_id: str, without: Collection[str] = ()) -> bool:
        """Whether the thread has a subscriber other than these."""
        return any(s.thread_id == thread_id and s.id not in without for s in self._handles.values()) or any(
            thread_id in threads and connection not in without for connection, threads in self._connections.items()
        )

    @one_at_a_time
    def touch(self, thread_id: str, now_ms: int) -> None:
        """Restart the expiry of the thread's handles."""
        for subscription in self._handles.values():
            if subscription.thread_id == thread_id:
                subscription.used_at_ms = now_ms

    @one_at_a_time
    def expired_handles(self, now_ms: int) -> list[str]:
        """Handles that were not used for an hour and belong to no open connection."""
        return [
            s.id
            for s in self._handles.values()
            if now_ms - s.used_at_ms >= HANDLE_LIFE_MS
            and (s.connection is None or s.thread_id not in self._connections.get(s.connection, set()))
        ]
