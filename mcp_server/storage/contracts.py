"""The contracts that every home keeps. The docstrings here give order, ownership and errors of each method;
implementations don't repeat them.

A home is where threads live. `Rollouts` holds the bytes of their histories, which are the truth. `ThreadIndex` and
`TurnIndex` hold what is derived from them; `EventLog` and `OperationLog` what is not: events, the journal of running
operations, receipts of calls, tombstones. Losing all of these loses no thread. `Leases` give each thread one writer.

`State` joins the four that a home keeps beside the bytes. `RolloutStore` and `StateStore`, at the end, are what a home
of files adds so that its index can follow the files. Only `sync` uses them.

Every method blocks and is safe to call from any OS thread.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from mcp_server.codex.bounds import BOUNDS, ReadingBounds
from mcp_server.codex.files import BadLine, Description, RolloutRef
from mcp_server.codex.lines import RawLine
from mcp_server.errors import StoreFailure
from mcp_server.models.event import EventType, ThreadEvent
from mcp_server.models.history import IndexCheckpoint, IndexProgress, IndexUpdate, TurnSpan
from mcp_server.models.records import BackfillState, Change, Copy, Operation, Receipt, SpawnEdge, Unreadable
from mcp_server.models.thread import FileStamp, StoredThread
from mcp_server.storage.query import (
    Count,
    Difference,
    TextPlace,
    TextQuery,
    ThreadQuery,
    ThreadRows,
    WordHits,
    WordQuery,
)

T = TypeVar("T")


class Rollouts(Protocol):
    """The bytes of each thread's history, and the names that people give threads. A method that writes returns the
    rollout in its new version."""

    bounds: ReadingBounds = BOUNDS
    """How much of a rollout this home, and every reader of it, holds in memory at once."""

    def new(self, thread_id: str, created_at_ms: int) -> RolloutRef:
        """The rollout that a new thread will have. In homes of files, date folder and name follow local time, as in
        Codex. Creates nothing."""
        ...

    def absolute(self, rollout: RolloutRef) -> str:
        """The path that clients see."""
        ...

    def current(self, rollout: RolloutRef) -> RolloutRef | None:
        """The rollout in its present version; None if it is gone (or does not lie inside the home)."""

    def companions(
        self, rollouts: Mapping[str, RolloutRef], *, archived: bool | None = None
    ) -> dict[str, list[RolloutRef]]:
        """What else belongs to these threads and moves with them, by thread id: rollouts that reverts have replaced, of
        these only the archived or the active ones unless `archived` is None; and, if it is None, what an interrupted
        move has left in the other folder."""
        ...

    def describe(self, rollout: RolloutRef) -> Description:
        """Read a rollout's metadata.

        Raises:
            DamagedRollout: empty, unreadable, or without session metadata at the start.
        """
        ...

    def lines(self, rollout: RolloutRef, start: int = 0, end: int | None = None) -> Iterator[list[RawLine]]:
        """The lines in `[start, end)`, in batches, without blank ones. `start` must be the beginning of a line;
        offsets count bytes of the uncompressed text. A last line without a newline has `whole=False`.

        Raises:
            DamagedRollout: the rollout is gone or can't be read or decompressed.
        """
        ...

    def read(self, rollout: RolloutRef, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes `[start, end)` of each range, fewer if the text ends earlier. Raises as `lines`."""
        ...

    def read_many(self, pieces: Sequence[tuple[RolloutRef, int, int]]) -> list[bytes | StoreFailure]:
        """`read` one range of each rollout. If that raises, its error takes the place of the bytes."""
        ...

    def create(self, rollout: RolloutRef, data: bytes) -> RolloutRef:
        """Write a new rollout, durably (mode 0600, folders 0700), all or nothing.

        Raises:
            RolloutNameTaken: it exists.
        """
        ...

    def drafted(self, rollout: RolloutRef, parts: Generator[bytes]) -> AbstractContextManager[Callable[[], RolloutRef]]:
        """Write a new rollout that may be too large to hold in memory: each part as it comes, into a draft. The context
        gives a function that makes the draft a rollout, as `create` does. If it is not called, nothing remains.

        Raises:
            RolloutNameTaken: by that function, if the rollout exists.
        """
        ...

    def drafted_many(
        self, rollouts: Sequence[tuple[RolloutRef, Generator[bytes]]]
    ) -> AbstractContextManager[Callable[[], list[RolloutRef]]]:
        """`drafted` for several rollouts that belong together: all are complete on the disk before the context begins.
        Its function makes them rollouts, in order; if one can't become one, none does.

        Raises:
            RolloutNameTaken: by that function, if one of the rollouts exists.
        """
        ...

    def append(self, rollout: RolloutRef, data: bytes) -> RolloutRef:
        """Append whole lines in one write and flush them to the disk. The caller holds the lease. The rollout must
        still have the size in `rollout`: this refuses a writer that has lost its lease without noticing. A torn last
        line is first closed with a newline, so that nothing is joined to it. On an error the rollout is cut back.

        Raises:
            DamagedRollout: it is gone.
            CompressedRollout: it is compressed.
            RolloutChanged: it has another size.
        """
        ...

    def decompress(self, rollout: RolloutRef) -> RolloutRef:
        """Replace a compressed rollout by a plain one with the same mtime, durably. The caller holds the lease. A plain
        rollout is returned unchanged. If this is interrupted both may exist; then the plain one is the thread.

        Raises:
            DamagedRollout: it can't be read to its end.
            RolloutNameTaken: the plain one exists already.
        """
        ...

    def move(
        self, rollouts: Sequence[RolloutRef], *, archived: bool, dry_run: bool = False
    ) -> list[RolloutRef | StoreFailure]:
        """Move rollouts into the archive, or out of it, durably and in order. If a move fails, its error takes the
        place of the result, and the others are moved all the same. Already moved counts as done. All new names are on
        the disk before the first old one is removed. Archiving keeps the mtime; unarchiving sets it to now. A dry run
        changes nothing and returns the errors that it can foresee.

        Fails with:
            PathOutsideHome: the rollout, or what it links to, does not lie in the folder that it would leave.
            RolloutNameTaken: another file has the new name already.
            DamagedRollout: the file is in neither folder, or its name has no date and so no active folder.
        """
        ...

    def remove(self, rollout: RolloutRef, dry_run: bool = False) -> None:
        """Delete a rollout, durably. Already gone counts as done. A dry run only raises the errors that it can foresee.

        Raises:
            PathOutsideHome: it does not lie in one of the two folders.
        """

    def set_name(self, thread_id: str, name: str | None, at_ms: int) -> None:
        """Name a thread, durably: append a line to session_index.jsonl, safely beside a Codex that does the same. None
        forgets the thread: the file is rewritten without it, as Codex does on delete."""


class Snapshots(Protocol):
    """Reads that belong together."""

    def snapshot(self) -> AbstractContextManager[None]:
        """While it is open, all reads by this OS thread see the same state of the store. Wait for nothing meanwhile:
        others may be waiting for a snapshot."""
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
        """How many rows fit each query, whatever its page, all in one snapshot. Exact up to `COUNTED`. Beyond it, a
        count may be a minimum if a search term or a time restricts the query, else it is exact."""
        ...

    def matching(self, *, prefix: str | None = None, name: str | None = None, limit: int) -> list[str]:
        """Ids that begin with a prefix, sorted; or the ids of the threads with exactly this name: active ones first,
        and among these the newest by `updated_at` first."""
        ...

    def edges_above(self, thread_id: str) -> list[SpawnEdge]:
        """The edges from a thread up to its root, the nearest first. A cycle ends before its second round."""
        ...

    def edges_below(self, thread_ids: Collection[str]) -> list[SpawnEdge]:
        """All edges below these threads (to children, grandchildren and so on), each once, sorted by child id."""
        ...

    def cwds(self) -> dict[str, int]:
        """The working directories of all rows as these spell them, each with the number of its rows."""
        ...

    def forks_of(self, thread_id: str) -> list[str]:
        """Ids of the paginated forks that borrow this thread's bytes (`history_base`), sorted."""
        ...


class TurnIndex(Snapshots, Protocol):
    """The turns of histories by byte offset, and their full text. Whoever reads a history indexes it. When a thread's
    row is removed, its part of this index is removed, too.

    Turns and items are numbered from 0. Ranges exclude their end, and may reach beyond the last one.
    """

    def checkpoints(self, thread_ids: Collection[str]) -> dict[str, IndexCheckpoint]:
        """How far these threads are indexed, by thread id, without those that are not."""
        ...

    def spans(self, thread_id: str, first: int, end: int) -> list[TurnSpan]:
        """The turns with these numbers, in order."""
        ...

    def spans_of_items(self, thread_id: str, first: int, end: int) -> list[TurnSpan]:
        """The turns that hold the items with these numbers in the thread, in order."""
        ...

    def all_spans(self, thread_ids: Collection[str]) -> dict[str, list[TurnSpan]]:
        """All turns of these threads, in order, as far as they are indexed."""
        ...

    def span_of(self, thread_id: str, turn_id: str) -> TurnSpan | None:
        """The first turn with this id."""
        ...

    def update(self, updates: Sequence[IndexUpdate]) -> list[bool]:
        """Apply updates, each of another thread, in one transaction. False for an update that is refused because its
        thread's checkpoint is not the one that it goes on from: somebody else has indexed the thread meanwhile. If a
        thread was deleted meanwhile, nothing of it remains."""
        ...

    def places(self, query: TextQuery) -> list[TextPlace]:
        """Candidates for texts that hold all literals, compared as by `re.IGNORECASE`. None that does is left out, but
        the caller must check each: it may hold only parts of a literal, be a tool's text, or be gone. The newest come
        first: texts written since the index was begun, then older ones in the order in which their threads were
        read."""
        ...

    def named(self, literals: Sequence[str], threads: ThreadQuery, limit: int) -> list[StoredThread]:
        """Candidates for threads whose names hold all literals in any case, the last changed first. The caller must
        check each name. Text after a NUL in a name is not found."""
        ...

    def find_words(self, query: WordQuery) -> WordHits:
        """The texts and names that hold some of the words, each in one of its forms: those of the threads that hold
        most of them first, the newest among these. A text may be gone. Names count whichever texts are asked for."""
        ...

    def words_like(self, word: str) -> list[str]:
        """Words of messages and names that may be meant by this one, which is in none; not all if they are many."""
        ...

    def unread(self, limit: int) -> list[str]:
        """Threads whose rollouts are not indexed in the version in their rows, the last changed first."""
        ...

    def progress(self) -> IndexProgress:
        """How many threads are indexed, at least in part, and how many are still to be read."""
        ...


class EventLog(Protocol):
    """Events by seq, which grows and never repeats. The oldest ones may be gone."""

    def events_after(
        self,
        seq: int,
        *,
        limit: int,
        thread_ids: Collection[str] | None = None,
        types: Collection[EventType] | None = None,
    ) -> list[ThreadEvent]:
        """Events with a greater seq, oldest first."""
        ...

    def first_seq(self) -> int:
        """Seq of the oldest event that is there, 0 if there is none."""
        ...

    def last_seq(self) -> int:
        """Seq of the newest event, 0 if there is none."""
        ...


class OperationLog(Protocol):
    """The journal of cascades, receipts of calls with a `request_id`, and tombstones. A call records a claim before its
    work and the outcome after it. A claim without an outcome stands for work that still runs or was interrupted."""

    def operation(self, operation_id: str) -> Operation | None: ...

    def running_operations(self) -> list[Operation]:
        """Operations that were planned and not finished, oldest first."""
        ...

    def last_operations(self, kind: str, thread_ids: Collection[str]) -> dict[str, str]:
        """The id of the newest finished operation of a kind that each thread is among, by thread id. One is newer than
        another that was recorded before it."""
        ...

    def deleted(self, thread_ids: Collection[str]) -> frozenset[str]:
        """Which of these have a tombstone."""
        ...

    def receipts(self, client: str, request_id: str) -> list[Receipt]:
        """The receipts of a client's request id, from all its connections, the newest first."""
        ...

    def claim(self, claim: Receipt, abandoned: Receipt | None = None) -> Receipt:
        """Record a claim if no receipt has its key, or if the `abandoned` one has it. Returns the receipt that then has
        the key. It survives the end of the process and a loss of power."""
        ...


class State(ThreadIndex, TurnIndex, EventLog, OperationLog, Protocol):
    """What a home keeps beside the bytes. One `Change` of several of these is one transaction."""

    def commit(self, change: Change) -> list[ThreadEvent]:
        """Apply one change; returns the events appended (those derived from `observed` first), with seq and time."""
        ...


class UnitOfWork(Protocol):
    """What one verb writes, made durable in the order that its home needs. If the work fails, nothing is recorded;
    a home that writes rollouts at once, of files or in memory, keeps what was written to them by then."""

    def create(self, rollout: RolloutRef, data: bytes) -> RolloutRef:
        """`Rollouts.create`, as a part of the work."""
        ...

    def append(self, rollout: RolloutRef, data: bytes) -> RolloutRef:
        """`Rollouts.append`, as a part of the work."""
        ...

    def record(self, change: Change) -> None:
        """Add a change to the one transaction in which this work is recorded."""

    def answer(self, result: T) -> T:
        """Return the verb's result. If its call has a `request_id`, the receipt becomes part of the same transaction,
        so that a call that is repeated after a kill is not done twice."""
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
        """Take these locks, all or none, without waiting. To take one that this object already holds is a bug
        (RuntimeError). `for_moments`: they are needed for one short piece of work only. Until it ends, another process
        that asks for any lock may have to wait, instead of being refused one of these.

        Raises:
            ActiveWriter: another process (or another owner in this one) holds one.
        """

    def check_free(self, thread_ids: Sequence[str]) -> None:
        """Raise what `acquire` would raise now, as far as can be seen. Takes no lock and creates no file."""

    def release(self, thread_ids: Collection[str]) -> None:
        """Release these locks and remove their files. Locks that are not held are ignored."""

    def held(self) -> frozenset[str]:
        """The threads whose locks this object holds."""
        ...

    def foreign(self, thread_ids: Collection[str] | None = None) -> dict[str, Holder]:
        """The locks that other processes hold, of all threads of the home or of these. The look waits for a moment at
        most: a lock of which it can't tell by then counts as held, by nobody knows whom."""
        ...


# ---------------------------------------------------------------------------------------------- homes of files


class RolloutStore(Rollouts, Protocol):
    """Rollout files and the name index of one home. Paths are relative to the home, with `/`, such as
    `sessions/2026/11/22/rollout-….jsonl`."""

    def locate(self, thread_id: str) -> list[RolloutRef]:
        """The files whose name has the id, including copies by sync tools, sorted by `rank_of`: the thread's current
        file first. Opens no file."""
        ...

    def stat(self, path: str) -> RolloutRef | None:
        """The file at a path; None if there is none, or if it does not lie inside the home."""

    def stat_many(self, paths: Collection[str]) -> dict[str, RolloutRef]:
        """The files that `stat` finds at these paths, by path."""
        ...

    def walk(self, odd: list[BadLine] | None = None) -> Iterator[RolloutRef]:
        """All rollout files, active and archived, sorted by path, descending: the newest date first. Folders are read
        as the iteration gets to them. Files that vanish meanwhile are left out. `unusable` entries of the two folders
        are appended to `odd`."""
        ...

    def paths(self) -> Iterator[str]:
        """The paths of the same files, without a stat of each, so that broken links are among them."""
        ...

    def unusable(self, paths: Collection[str] | None = None) -> list[BadLine]:
        """Entries, at these paths or anywhere, that have a rollout's name but are no regular file of the home: a broken
        link, a link out of its folder, a pipe. Without `paths` also folders that can't be read, and entries that are no
        regular file under the name of one that is read beside the rollouts. All other methods skip all of these."""
        ...

    def abandoned(self) -> list[str]:
        """Paths of drafts that nobody has written to for an hour: `drafted` leaves one behind if its process is killed.
        `remove` deletes them."""
        ...

    def locate_rollout(self, rollout_id: str) -> list[RolloutRef]:
        """The files whose name has this rollout id, sorted as by `locate`. Opens no file."""
        ...

    def describe_many(self, files: Sequence[RolloutRef]) -> list[Description | BadLine | None]:
        """Read the metadata of several rollouts: for each its description, or why it can't be read, or None if it is
        gone."""
        ...

    def names(self) -> dict[str, str]:
        """Thread names by id: the newest line of session_index.jsonl for each."""
        ...

    def names_stamp(self) -> FileStamp | None:
        """Stamp of session_index.jsonl, None if there is none."""


class StateStore(State, Protocol):
    """The state of a home of files, with what it remembers about these files."""

    def compare(self, found: Iterable[RolloutRef]) -> Difference:
        """Compare the rows with all files of the home, which are `found`. Holds only the differences in memory."""
        ...

    def compare_folders(self, folders: Mapping[str, Mapping[str, FileStamp | None]]) -> Difference:
        """Compare the rows with the rollouts that lie directly in these folders. `folders` gives stamps by folder and
        path. A file whose stamp is None matches any row with its path."""
        ...

    def merge_texts(self) -> bool:
        """Make the index of texts smaller and quicker once many have come, a step further. False if nothing is left to
        do. Changes nothing that is found."""
        ...

    def written_last(self, limit: int) -> dict[str, FileStamp]:
        """Paths and stamps of the rollouts with the newest mtimes, according to the rows. Scans every row."""
        ...

    def largest(self, limit: int) -> dict[str, int]:
        """The sizes of the largest rollouts in bytes, by thread id, largest first, according to the rows. Scans every
        row."""
        ...

    def known_rollouts(self, thread_ids: Collection[str] | None = None) -> dict[str, RolloutRef]:
        """The rollouts that the rows of these threads, or of all, name, by thread id. Cheaper than whole rows."""
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
        """Set the names of all rows to these, and remember the stamp. Returns the events of the names that changed."""
        ...

    def backfill(self) -> BackfillState: ...

    def claim_backfill(self, owner: str, now_ms: int, lease_ms: int) -> bool:
        """Become the one worker. True if nobody is, or if the lease of the one who was has expired. A completed
        backfill can't be claimed."""
        ...

    def reopen_backfill(self) -> None:
        """Make a completed backfill pending again, from the beginning, and mark every history as unread. Does nothing
        to one that is not complete."""

    def checkpoint_backfill(self, state: BackfillState) -> None:
        """Record progress (and so renew the lease), or the end with status `complete`."""

    def copies(self, thread_ids: Collection[str] | None = None) -> list[Copy]:
        """The copies that are remembered, of these threads or of all, sorted by path."""
        ...

    def unreadable(self) -> list[Unreadable]:
        """The files that are remembered as unreadable, sorted by path."""
        ...

    def note_copies(self, found: Sequence[Copy], settled: Collection[str] = ()) -> None:
        """Remember these copies in place of earlier records of them, and forget those at the `settled` paths."""

    def note_unreadable(self, found: Sequence[Unreadable], settled: Collection[str] = ()) -> None:
        """Remember these files in place of earlier records of them, and forget those at the `settled` paths."""
