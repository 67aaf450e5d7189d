"""The contracts that every home keeps, written once: order, ownership and errors of each method. Implementations stay
quiet.

A home is where threads live. `Rollouts` holds the bytes of their histories, which are the truth. `ThreadIndex` and
`TurnIndex` hold what is derived from them; `EventLog` and `OperationLog` what is not: events, the journal of running
operations, receipts of calls, tombstones. Losing all of these loses no thread. `Leases` give each thread one writer.

Last stand `RolloutStore` and `StateStore`: what a home of files adds, so that its index can be kept in step with them.
Only `sync` uses that.

Every method blocks, and any thread may call it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from mcp_server.codex.files import BadLine, Description, RolloutRef
from mcp_server.codex.lines import RawLine
from mcp_server.errors import StoreFailure
from mcp_server.models.event import EventType, ThreadEvent
from mcp_server.models.history import IndexCheckpoint, IndexProgress, IndexUpdate, TurnSpan
from mcp_server.models.records import BackfillState, Change, Copy, Operation, Receipt, SpawnEdge, Unreadable
from mcp_server.models.thread import FileStamp, StoredThread
from mcp_server.storage.query import Count, Difference, TextPlace, TextQuery, ThreadQuery, ThreadRows

T = TypeVar("T")


class Rollouts(Protocol):
    """The bytes of each thread's history, and the names that people give threads. A method that writes returns the
    rollout in its new version."""

    def new(self, thread_id: str, created_at_ms: int) -> RolloutRef:
        """The rollout that a new thread will have: of files, date folder and name by local time, as Codex does. Touches
        nothing."""
        ...

    def absolute(self, rollout: RolloutRef) -> str:
        """The path that clients see."""
        ...

    def current(self, rollout: RolloutRef) -> RolloutRef | None:
        """The rollout in its present version; None if it is gone (or does not lie inside the home)."""

    def companions(
        self, rollouts: Mapping[str, RolloutRef], *, archived: bool | None = None
    ) -> dict[str, list[RolloutRef]]:
        """What else belongs to these threads and goes where they go, by thread id: rollouts that reverts have replaced,
        and what a move that was cut short has left in its other place. Only what is archived, or is not, unless
        None."""
        ...

    def describe(self, rollout: RolloutRef) -> Description:
        """Read a rollout's metadata.

        Raises:
            DamagedRollout: empty, unreadable, or without session metadata at the start.
        """
        ...

    def lines(self, rollout: RolloutRef, start: int = 0, end: int | None = None) -> Iterator[list[RawLine]]:
        """The lines in `[start, end)`, in batches, blank ones left out. `start` must be the beginning of a line;
        offsets count bytes of the uncompressed text. A last line without newline comes with `whole=False`.

        Raises:
            DamagedRollout: the rollout is gone or can't be read or decompressed.
        """
        ...

    def read(self, rollout: RolloutRef, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes `[start, end)` of each range, fewer where the text ends before. Raises as `lines`."""
        ...

    def read_many(self, pieces: Sequence[tuple[RolloutRef, int, int]]) -> list[bytes | StoreFailure]:
        """`read` of one range in each of these rollouts; what it raises stands in its place."""
        ...

    def create(self, rollout: RolloutRef, data: bytes) -> RolloutRef:
        """Write a new rollout, durably (0600, folders 0700), all or nothing.

        Raises:
            RolloutNameTaken: it exists.
        """
        ...

    def drafted(self, rollout: RolloutRef, parts: Generator[bytes]) -> AbstractContextManager[Callable[[], RolloutRef]]:
        """Write a new rollout that may be more than should be held at once: each part as it comes, to where it is no
        rollout yet. Within, what is given makes it one, as `create` does; where that is not called nothing stays.

        Raises:
            RolloutNameTaken: when it is made one, it exists.
        """
        ...

    def append(self, rollout: RolloutRef, data: bytes) -> RolloutRef:
        """Append whole lines in one write and flush them to the disk. The caller holds the lease. The rollout must have
        the size that it had when the caller left it, so that a writer who has lost its lease, and does not know of it,
        is refused. A torn tail is closed with a newline first, so that nothing is glued to it. On an error the rollout
        is cut back to what it was.

        Raises:
            DamagedRollout: it is gone.
            CompressedRollout: it is compressed.
            RolloutChanged: it has another size.
        """
        ...

    def decompress(self, rollout: RolloutRef) -> RolloutRef:
        """Put the plain rollout in the place of a compressed one, durably; it has the same mtime. The caller holds the
        lease. A plain one is returned as it is. Where this ends half-way both are there, and the plain one is the
        thread.

        Raises:
            DamagedRollout: it can't be read to its end.
            RolloutNameTaken: the plain one is there.
        """
        ...

    def move(
        self, rollouts: Sequence[RolloutRef], *, archived: bool, dry_run: bool = False
    ) -> list[RolloutRef | StoreFailure]:
        """Move rollouts into the archive, or out of it, durably, in order. What a move fails with stands in its place,
        and the others are moved; already moved counts as done. All new names are on the disk before the first old one
        goes. In the archive the mtime stays; out of it, it becomes now. A dry run changes nothing, and foretells what
        can be seen before.

        Fails with:
            PathOutsideHome: the rollout, or what it links to, is not where it would be moved from.
            RolloutNameTaken: another file has the new name already.
            DamagedRollout: no such file on either side, or a name without the date that tells its active folder.
        """
        ...

    def remove(self, rollout: RolloutRef, dry_run: bool = False) -> None:
        """Delete a rollout, durably. Already gone counts as done. A dry run only raises what it would.

        Raises:
            PathOutsideHome: it does not lie in one of the two folders.
        """

    def set_name(self, thread_id: str, name: str | None, at_ms: int) -> None:
        """Name a thread, durably: one line more in session_index.jsonl, also beside a Codex that does the same. None
        forgets the thread: the file is written anew without it, as Codex does on delete."""


class Snapshots(Protocol):
    """Reads that belong together."""

    def snapshot(self) -> AbstractContextManager[None]:
        """Within, all reads of this thread see the same state of the store. Nothing is waited for within: others may
        wait for the snapshot."""
        ...


class ThreadIndex(Snapshots, Protocol):
    """Rows of threads, lists, counts, and the edges of sub-agents. A read sees all that was committed before it
    began."""

    def get(self, thread_id: str) -> StoredThread | None: ...

    def get_many(self, thread_ids: Collection[str]) -> dict[str, StoredThread]: ...

    def list(self, query: ThreadQuery, beside: Sequence[ThreadQuery] = ()) -> ThreadRows:
        """One page, and the `counts` of the queries `beside` it, in one snapshot. Ties of the sort key are broken by
        id, in the direction of the sort."""
        ...

    def counts(self, queries: Sequence[ThreadQuery]) -> list[Count]:
        """How many rows fit each query, wherever its page would begin, all in one look. Exact up to `COUNTED`, and
        beyond it too unless a search term or a time restricts the query: such a count may be a minimum."""
        ...

    def matching(self, *, prefix: str | None = None, name: str | None = None, limit: int) -> list[str]:
        """Ids that begin with a prefix, sorted; or of the threads with exactly this name, active ones first, then the
        newest by `updated_at`."""
        ...

    def edges_above(self, thread_id: str) -> list[SpawnEdge]:
        """The edge from a thread's parent, that from the parent's, and so on; a cycle ends before its second round."""
        ...

    def edges_below(self, thread_ids: Collection[str]) -> list[SpawnEdge]:
        """The edges below these threads: those to their children, to the children of those, and so on; each once, by
        child id."""
        ...

    def forks_of(self, thread_id: str) -> list[str]:
        """Ids of the paginated forks that borrow this thread's bytes (`history_base`), sorted."""
        ...


class TurnIndex(Snapshots, Protocol):
    """The turns of histories by byte offset, and their full text. It is built by whoever reads them, and a thread that
    is forgotten, or vanishes from the rows, takes its part along.

    Numbers of turns and items count from 0; ranges leave their end out and may reach beyond what is there.
    """

    def checkpoints(self, thread_ids: Collection[str]) -> dict[str, IndexCheckpoint]:
        """How far these threads are indexed, those that are."""
        ...

    def spans(self, thread_id: str, first: int, end: int) -> list[TurnSpan]:
        """The turns with these numbers, in order."""
        ...

    def spans_of_items(self, thread_id: str, first: int, end: int) -> list[TurnSpan]:
        """The turns that hold the items with these numbers in the thread, in order."""
        ...

    def span_of(self, thread_id: str, turn_id: str) -> TurnSpan | None:
        """The first turn with this id."""
        ...

    def update(self, updates: Sequence[IndexUpdate]) -> list[bool]:
        """Take in what readings found, in one transaction, each of another thread. False, and nothing is changed,
        for a thread whose checkpoint is not the one that the update goes on from: another has indexed it meanwhile.
        Of a thread that was deleted meanwhile nothing stays."""
        ...

    def places(self, query: TextQuery) -> list[TextPlace]:
        """Where texts may hold the literals, newest first: what was written since the index was begun as it came, and
        below it what was there before, as its threads were read. No place that holds them is left out, for what
        `re.IGNORECASE` takes for the same. A place is to be looked at: it may hold the literals in pieces, be a tool's,
        or be gone."""
        ...

    def named(self, literals: Sequence[str], threads: ThreadQuery, limit: int) -> list[StoredThread]:
        """Threads whose names may hold all literals, whatever their case; the last changed first. Names are to be
        looked at; what stands behind a NUL in one is not found."""
        ...

    def unread(self, limit: int) -> list[str]:
        """Threads whose rollouts are not indexed as their rows tell of them, the last changed first."""
        ...

    def progress(self) -> IndexProgress:
        """How many threads are indexed, up to whatever place, and how many are to be read."""
        ...


class EventLog(Protocol):
    """Events by seq, which grows and never repeats."""

    def events_after(
        self, seq: int, *, limit: int, thread_id: str | None = None, types: Collection[EventType] | None = None
    ) -> list[ThreadEvent]:
        """Events with a greater seq, oldest first."""
        ...

    def last_seq(self) -> int:
        """Seq of the newest event, 0 if there is none."""
        ...


class OperationLog(Protocol):
    """The journal of cascades, receipts of calls with a `request_id`, and tombstones. A claim is there before the work
    of a call, and its outcome after; a claim alone tells of work that was cut short."""

    def operation(self, operation_id: str) -> Operation | None: ...

    def running_operations(self) -> list[Operation]:
        """Operations that were planned and not finished, oldest first."""
        ...

    def moved_with(self, kind: str, thread_id: str) -> set[str]:
        """The threads of the newest finished operation of a kind that the thread is among: those for which it is the
        newest too. One is newer than another that was recorded before it."""
        ...

    def deleted(self, thread_ids: Collection[str]) -> frozenset[str]:
        """Which of these have a tombstone."""
        ...

    def receipts(self, client: str, request_id: str) -> list[Receipt]:
        """What is on record of a client's request id, of all its connections, the newest first."""
        ...

    def claim(self, claim: Receipt, abandoned: Receipt | None = None) -> Receipt:
        """Put a claim on record if nothing has its key, or in place of the `abandoned` one; returns what is there then.
        It outlives the process, and a loss of power."""
        ...


class UnitOfWork(Protocol):
    """What one verb writes, made durable in the order that its home needs. All of it ends with the work: if that fails,
    nothing is recorded, and what was written to rollouts stays in homes of files alone."""

    def create(self, rollout: RolloutRef, data: bytes) -> RolloutRef:
        """`Rollouts.create`, as a part of the work."""
        ...

    def append(self, rollout: RolloutRef, data: bytes) -> RolloutRef:
        """`Rollouts.append`, as a part of the work."""
        ...

    def record(self, change: Change) -> None:
        """Rows, events and the rest, in one transaction with all that is recorded here."""

    def answer(self, result: T) -> T:
        """The verb's result. If its call has a `request_id`, the receipt with it belongs to the same transaction, so
        that a call that is repeated after a kill is not done twice."""
        ...


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease, as far as the system tells."""

    pid: int | None = None
    program: str | None = None
    since_ms: int | None = None


class Leases(Protocol):
    """One writer a thread, across processes and programs: Codex's own lock files."""

    def acquire(self, thread_ids: Sequence[str], *, for_moments: bool = False) -> None:
        """Take these locks, all or none, without waiting. Taking one that this object holds already is an error of the
        program. `for_moments`: for one piece of work. As long as it is short, another process that wants any lock may
        be made to wait, rather than be refused one of these.

        Raises:
            ActiveWriter: another process (or another owner in this one) holds one.
        """

    def check_free(self, thread_ids: Sequence[str]) -> None:
        """Raises what `acquire` would now, as far as can be seen; takes nothing, makes nothing."""

    def release(self, thread_ids: Collection[str]) -> None:
        """Give these locks back and remove their files. Those that are not held are fine."""

    def held(self) -> frozenset[str]:
        """The threads whose locks this object holds."""
        ...

    def foreign(self) -> dict[str, Holder]:
        """All locks of the home that other processes hold."""
        ...


# ---------------------------------------------------------------------------------------------- homes of files


class RolloutStore(Rollouts, Protocol):
    """Rollout files and the name index of one home. Paths are relative to the home, with `/`, such as
    `sessions/2026/11/22/rollout-….jsonl`."""

    def locate(self, thread_id: str) -> list[RolloutRef]:
        """The files whose name carries the id, copies by sync tools too: the one that is the thread first, by
        `rank_of`. Reads no file."""
        ...

    def stat(self, path: str) -> RolloutRef | None:
        """The file at a path, or None if there is none (or none that lies inside the home)."""

    def stat_many(self, paths: Collection[str]) -> dict[str, RolloutRef]:
        """The files that `stat` finds at these paths, by path."""
        ...

    def walk(self, odd: list[BadLine] | None = None) -> Iterator[RolloutRef]:
        """All rollout files, active and archived, by path, descending: the newest date first. It looks as it is asked
        for the next. What vanishes meanwhile is left out. What is `unusable` of the two folders goes to `odd`."""
        ...

    def paths(self) -> Iterator[str]:
        """The paths of the same, and of links that may lead nowhere: no file is looked at."""
        ...

    def unusable(self, paths: Collection[str] | None = None) -> list[BadLine]:
        """What is called a rollout, at these paths or anywhere, and is no file of the home: a link that leads nowhere
        or out of its folder, a pipe. With it folders that can't be looked into, and what is called like a file that is
        read beside the rollouts. All other methods pass these over."""
        ...

    def abandoned(self) -> list[str]:
        """Drafts of rollouts that nobody has written to for an hour: what `drafted` leaves where its process is killed.
        They are no rollouts; `remove` takes them away."""
        ...

    def locate_rollout(self, rollout_id: str) -> list[RolloutRef]:
        """The files whose name says that they are this very rollout, in the same order. Reads no file."""
        ...

    def describe_many(self, files: Sequence[RolloutRef]) -> list[Description | BadLine | None]:
        """Read the metadata of several rollouts, in one go: for each the description, or what is wrong with it, or
        None if the file is gone."""
        ...

    def names(self) -> dict[str, str]:
        """Thread names by id: the newest line of session_index.jsonl for each."""
        ...

    def names_stamp(self) -> FileStamp | None:
        """Stamp of session_index.jsonl, None if there is none."""


class StateStore(ThreadIndex, TurnIndex, EventLog, OperationLog, Protocol):
    """The index of a home, with what is remembered of its files."""

    def commit(self, change: Change) -> list[ThreadEvent]:
        """Apply one change; returns the events appended (those derived from `observed` first), with seq and time."""
        ...

    def compare(self, found: Iterable[RolloutRef]) -> Difference:
        """How the rows stand to all the files that there are. Holds no more than what differs."""
        ...

    def compare_folders(self, folders: Mapping[str, Mapping[str, FileStamp | None]]) -> Difference:
        """How the rows stand to the rollouts that lie directly in these folders, by folder and by path; where a stamp
        is not known, a row that names the file is enough."""
        ...

    def written_last(self, limit: int) -> dict[str, FileStamp]:
        """Paths and stamps of the rollouts with the newest mtimes, as the rows tell them; a look at every row."""
        ...

    def largest(self, limit: int) -> dict[str, int]:
        """The sizes of the largest rollouts as the rows tell them, in bytes by thread id, the largest first; it takes a
        look at every row."""
        ...

    def known_rollouts(self, thread_ids: Collection[str] | None = None) -> dict[str, RolloutRef]:
        """The rollouts that the rows of these threads, or of all, name, by thread id: cheaper than the rows."""
        ...

    def rollouts_at(self, paths: Collection[str]) -> dict[str, RolloutRef]:
        """The rollouts that rows name at one of these paths, by thread id."""
        ...

    def names_stamp(self) -> FileStamp | None:
        """The stamp of session_index.jsonl that the rows' names were last taken from."""

    def names(self) -> dict[str, str]:
        """The names that rows have, by thread id."""
        ...

    def apply_names(self, names: dict[str, str], stamp: FileStamp | None) -> list[ThreadEvent]:
        """Set the rows' names to these, remember the stamp; returns the events of the names that changed."""
        ...

    def backfill(self) -> BackfillState: ...

    def claim_backfill(self, owner: str, now_ms: int, lease_ms: int) -> bool:
        """Become the one worker: true if nobody runs it, or the lease of the one who did has run out.
        A completed backfill can't be claimed."""
        ...

    def reopen_backfill(self) -> None:
        """Make a completed backfill pending again, from the beginning, and every history unread. One that runs goes
        on."""

    def checkpoint_backfill(self, state: BackfillState) -> None:
        """Record progress (and so renew the lease), or the end with status `complete`."""

    def copies(self, thread_ids: Collection[str] | None = None) -> list[Copy]:
        """All that are remembered, or those of these threads, by path."""
        ...

    def unreadable(self) -> list[Unreadable]:
        """All that is remembered, by path."""
        ...

    def note_copies(self, found: Sequence[Copy], settled: Collection[str] = ()) -> None:
        """Remember these, in place of what was known of them; and forget those at the `settled` paths."""

    def note_unreadable(self, found: Sequence[Unreadable], settled: Collection[str] = ()) -> None:
        """Remember these files, in place of what was known of them; and forget those at the `settled` paths."""
