"""Loaded threads: what only the process that holds the writer lock knows of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import uuid_utils

from mcp_server.codex.fork import Numbering
from mcp_server.codex.lines import RolloutLine
from mcp_server.codex.open_calls import OpenCalls
from mcp_server.codex.parser import TurnBuilder
from mcp_server.errors import LimitReached, ThreadClosing, ThreadNotLoaded
from mcp_server.models.thread import ACTIVE, IDLE, SYSTEM_ERROR, Settings, StoredThread, ThreadStatus
from mcp_server.models.turn import Item, Turn
from mcp_server.storage.contracts import Rollouts
from mcp_server.storage.serialised import one_at_a_time

# A handle that nobody used for this long lapses as if unsubscribed.
HANDLE_LIFE_MS = 3_600_000
# More loaded threads than this are refused: each holds a lock file and an open descriptor.
MAX_LOADED = 1_000
MAX_SUBSCRIPTIONS = 10_000


@dataclass
class RunningTurn:
    """The turn that is open, as its lines add up in `builder`. `last_message` is the newest agent message."""

    id: str
    started_at_ms: int
    root_id: str
    builder: TurnBuilder
    calls: OpenCalls = field(default_factory=OpenCalls)
    last_message: str | None = None

    def view(self) -> Turn:
        return self.builder.turns()[-1]

    def feed(self, lines: Sequence[RolloutLine]) -> list[Item]:
        """Take in lines that were written; returns the items that they made or changed, in order."""
        told: dict[str, Item] = {}
        for line in lines:
            self.builder.feed(line)
            told.update((item.id, item) for _, item in self.builder.last_items)
        return list(told.values())


@dataclass
class LoadedThread:
    """One loaded thread. `pending` waits for the first user message; `rollouts` is where its lines go."""

    thread: StoredThread
    settings: Settings
    rollouts: Rollouts
    ephemeral: bool = False
    materialised: bool = False
    pending: list[RolloutLine] = field(default_factory=list[RolloutLine])
    turn: RunningTurn | None = None
    # Number of the next synthetic item id (`item-7`), None until the history was counted.
    next_item: int | None = None
    # Calls of ended turns that wait for an output.
    open_calls: frozenset[str] = frozenset()
    # How lines are numbered in a paginated history; None in a legacy one.
    numbering: Numbering | None = None
    failed: bool = False
    # The name still has to go into session_index.jsonl.
    name_unsaved: bool = False
    closing: bool = False
    unsubscribed_at_ms: int | None = None
    # One verb at a time: what is read from the thread must still hold when it is written.
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def writing(self) -> Generator[None]:
        """Have the thread to oneself, to write to it.

        Raises:
            ThreadClosing: it left, or is about to; its lock may be another's by now.
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
    """A handle that the server minted; `connection` is the client's, where it has one."""

    id: str
    thread_id: str
    connection: str | None
    used_at_ms: int


@dataclass
class _Gate:
    """`users` hold the lock, or wait for it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0


class LoadedThreads:
    """The loaded threads of this process and who subscribes to them.

    A connection with an end of its own (stdio, a legacy HTTP session) is a subscriber beside its handles.
    """

    def __init__(self) -> None:
        # Resume, archive, unarchive and delete run one at a time in a process, as in Codex.
        self.permit = threading.Lock()
        self._gates: dict[str, _Gate] = {}
        self._threads: dict[str, LoadedThread] = {}
        self._handles: dict[str, Subscription] = {}
        self._connections: dict[str, set[str]] = {}
        self._kept: frozenset[str] = frozenset()

    @contextmanager
    def alone(self, thread_ids: Collection[str]) -> Generator[None]:
        """Load threads, let them go, move them, or write to those that are not loaded, while no other call of this
        process does: it waits its turn. (The writer locks keep other processes out.) To be taken after the permit and
        before the lock of a loaded thread, and not within another."""
        with ExitStack() as held:
            for thread_id in sorted(set(thread_ids)):
                held.enter_context(self._through(thread_id))
            yield

    def settled(self, thread_id: str) -> None:
        """Wait until no call loads the thread, lets it go or moves it."""
        if thread_id in self._gates:
            with self._through(thread_id):
                pass

    @contextmanager
    def _through(self, thread_id: str) -> Generator[None]:
        gate = self._enter(thread_id)
        try:
            with gate.lock:
                yield
        finally:
            self._leave(thread_id, gate)

    @one_at_a_time
    def _enter(self, thread_id: str) -> _Gate:
        gate = self._gates.setdefault(thread_id, _Gate())
        gate.users += 1
        return gate

    @one_at_a_time
    def _leave(self, thread_id: str, gate: _Gate) -> None:
        gate.users -= 1
        if not gate.users:
            del self._gates[thread_id]

    @one_at_a_time
    def ids(self) -> list[str]:
        return sorted(self._threads)

    @one_at_a_time
    def written_here(self) -> frozenset[str]:
        """The threads whose rows this process keeps: nobody else may write their files."""
        return self._kept.union(loaded.thread.id for loaded in self._threads.values() if loaded.materialised)

    @contextmanager
    def keeping(self, thread_ids: Collection[str]) -> Generator[None]:
        """Keep the rows of these threads too while their files move: seen on the way by our own watcher, they would be
        announced in no order. The caller has the permit."""
        self._kept = frozenset(thread_ids)
        try:
            yield
        finally:
            self._kept = frozenset()

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
            ThreadClosing: it is on its way out.
        """
        loaded = self._threads.get(thread_id)
        if loaded is None:
            raise ThreadNotLoaded(thread_id)
        if loaded.closing:
            raise ThreadClosing(thread_id)
        return loaded

    @one_at_a_time
    def check_room(self) -> None:
        """Raises LimitReached if no further thread may be loaded."""
        if len(self._threads) >= MAX_LOADED:
            raise LimitReached("too many loaded threads", MAX_LOADED, "unsubscribe from some with thread_unsubscribe")

    @one_at_a_time
    def add(self, loaded: LoadedThread) -> None:
        """Raises LimitReached as `check_room`, which others may have passed meanwhile."""
        self.check_room()
        self._threads[loaded.thread.id] = loaded

    @one_at_a_time
    def drop(self, thread_id: str) -> LoadedThread | None:
        """Forget the thread and every subscription to it."""
        self._handles = {h: s for h, s in self._handles.items() if s.thread_id != thread_id}
        for threads in self._connections.values():
            threads.discard(thread_id)
        return self._threads.pop(thread_id, None)

    # ------------------------------------------------------------------------------------------ subscribers

    @one_at_a_time
    def subscribe(self, thread_id: str, connection: str | None, now_ms: int) -> str:
        """Mint a handle for the caller; its connection subscribes too.

        Raises:
            LimitReached: there are too many handles.
        """
        if len(self._handles) >= MAX_SUBSCRIPTIONS:
            raise LimitReached("too many subscriptions", MAX_SUBSCRIPTIONS, "unsubscribe with thread_unsubscribe")
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
        """Drop a handle; with the last handle of its connection on the thread the connection leaves too."""
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
        """Drop a connection's subscription to one thread, with its handles; False if it had none."""
        had = thread_id in self._connections.get(connection, set())
        self._connections.get(connection, set()).discard(thread_id)
        self._handles = {
            h: s for h, s in self._handles.items() if not (s.connection == connection and s.thread_id == thread_id)
        }
        return had

    @one_at_a_time
    def forget_connection(self, connection: str) -> None:
        self._connections.pop(connection, None)

    @one_at_a_time
    def threads_of(self, connection: str) -> list[str]:
        return sorted(self._connections.get(connection, set()))

    @one_at_a_time
    def leaving(self, thread_id: str, subscription_id: str | None, connection: str | None) -> frozenset[str]:
        """Who would leave the thread by a handle, or without one by a connection: handles and connections; nobody if
        the thread has no such subscriber."""
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
        """Whether anybody but these subscribes to the thread."""
        return any(s.thread_id == thread_id and s.id not in without for s in self._handles.values()) or any(
            thread_id in threads and connection not in without for connection, threads in self._connections.items()
        )

    @one_at_a_time
    def touch(self, thread_id: str, now_ms: int) -> None:
        """Note that somebody works with the thread: its handles are in use."""
        for subscription in self._handles.values():
            if subscription.thread_id == thread_id:
                subscription.used_at_ms = now_ms

    @staticmethod
    def elapsed_ms() -> int:
        """By a clock that goes on evenly: the wall clock may be set, or jump ahead where the machine has slept."""
        return time.monotonic_ns() // 1_000_000

    @one_at_a_time
    def lapsed(self, now_ms: int) -> list[str]:
        """Handles that were not used for an hour and belong to no connection that still stands."""
        return [
            s.id
            for s in self._handles.values()
            if now_ms - s.used_at_ms >= HANDLE_LIFE_MS
            and (s.connection is None or s.thread_id not in self._connections.get(s.connection, set()))
        ]
