"""The contracts of the stores, written once: order, ownership and errors of each method. Implementations stay quiet.

Two kinds of truth meet here. A `RolloutStore` holds the files, which are the truth. A `StateStore` holds what is
derived from them (rows, edges), and four things that are not: events, the journal of running operations, receipts of
calls, and tombstones. Losing a state store loses no thread.

Every method blocks, and any thread may call it. Paths are relative to the home, with `/`, such as
`sessions/2026/11/22/rollout-….jsonl`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from mcp_server.codex.files import BadLine, Description, RolloutFile
from mcp_server.codex.lines import RawLine
from mcp_server.errors import StoreFailure
from mcp_server.models.event import EventType, ThreadEvent
from mcp_server.models.records import BackfillState, Change, Operation, SpawnEdge
from mcp_server.models.thread import FileStamp, StoredThread
from mcp_server.storage.copies import CopyStore
from mcp_server.storage.history import HistoryStore
from mcp_server.storage.query import Count, Difference, ThreadQuery, ThreadRows
from mcp_server.storage.receipts import ReceiptStore
from mcp_server.storage.unreadable import UnreadableStore

# ---------------------------------------------------------------------------------------------- rollouts


class RolloutStore(Protocol):
    """Rollout files and the name index of one home."""

    def path_of(self, thread_id: str, created_at_ms: int) -> str:
        """The path of a new thread's rollout: date folder and name by local time, as Codex does. Touches nothing."""
        ...

    def absolute(self, path: str) -> str:
        """The path that clients see."""
        ...

    def walk(self, odd: list[BadLine] | None = None) -> Iterator[RolloutFile]:
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

    def locate(self, thread_id: str) -> list[RolloutFile]:
        """The files whose name carries the id, copies by sync tools too: the one that is the thread first, by
        `rank_of`. Reads no file."""
        ...

    def locate_rollout(self, rollout_id: str) -> list[RolloutFile]:
        """The files whose name says that they are this very rollout, in the same order. Reads no file."""
        ...

    def stat(self, path: str) -> RolloutFile | None:
        """The file at a path, or None if there is none (or none that lies inside the home)."""

    def stat_many(self, paths: Collection[str]) -> dict[str, RolloutFile]:
        """The files that `stat` finds at these paths, by path."""
        ...

    def describe(self, file: RolloutFile) -> Description:
        """Read a rollout's metadata.

        Raises:
            DamagedRollout: empty, unreadable, or without session metadata at the start.
        """
        ...

    def describe_many(self, files: Sequence[RolloutFile]) -> list[Description | BadLine | None]:
        """Read the metadata of several rollouts, in one go: for each the description, or what is wrong with it, or
        None if the file is gone."""
        ...

    def lines(self, path: str, start: int = 0, end: int | None = None) -> Iterator[list[RawLine]]:
        """The lines in `[start, end)`, in batches, blank ones left out. `start` must be the beginning of a line;
        offsets count bytes of the uncompressed text. A last line without newline comes with `whole=False`.

        Raises:
            DamagedRollout: the file is gone or can't be read or decompressed.
        """
        ...

    def read(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes `[start, end)` of each range, fewer where the text ends before. Raises as `lines`."""
        ...

    def read_many(self, pieces: Sequence[tuple[str, int, int]]) -> list[bytes | StoreFailure]:
        """`read` of one range in each of these files; what it raises stands in its place."""
        ...

    def create(self, path: str, data: bytes) -> FileStamp:
        """Write a new rollout, durably (0600, folders 0700), all or nothing.

        Raises:
            RolloutNameTaken: the path exists.
        """
        ...

    def drafted(self, path: str, parts: Generator[bytes]) -> AbstractContextManager[Callable[[], FileStamp]]:
        """Write a new rollout that may be more than should be held at once: each part as it comes, to where it is no
        rollout yet. Within, what is given makes it one, as `create` does; where that is not called nothing stays.

        Raises:
            RolloutNameTaken: when it is made one, the path exists.
        """
        ...

    def append(self, path: str, data: bytes) -> FileStamp:
        """Append whole lines in one write and flush them to the disk. A torn tail is closed with a newline first,
        so that nothing is glued to it. The caller holds the writer lock. On an error the file is cut back to what it
        was.

        Raises:
            DamagedRollout: there is no such file.
            CompressedRollout: the file is compressed.
        """
        ...

    def restore(self, path: str) -> RolloutFile:
        """Put the plain file in the place of a compressed one, durably; it has the same mtime. The caller holds the
        writer lock. Where this ends half-way both are there, and the plain one is the thread.

        Raises:
            DamagedRollout: it can't be read to its end.
            RolloutNameTaken: the plain file is there.
        """
        ...

    def archive(self, path: str) -> RolloutFile:
        """Move an active rollout to `archived_sessions`, durably; mtime stays. Already moved counts as done.

        Raises:
            PathOutsideHome: the path, or what it links to, is not under `sessions`.
            RolloutNameTaken: an archived file has this name already.
            DamagedRollout: no such file on either side.
        """
        ...

    def unarchive(self, path: str) -> RolloutFile:
        """Move an archived rollout back to the date folder that its name tells; mtime becomes now. Already moved
        counts as done. Raises as `archive`, and DamagedRollout for a name without a date."""
        ...

    def archive_many(self, paths: Sequence[str], dry_run: bool = False) -> list[RolloutFile | StoreFailure]:
        """`archive` for each path, in order, with one flush a folder for all; what `archive` raises for one of them
        stands in its place, and the others are moved. All new names are on the disk before the first old one goes. A
        dry run changes nothing, and foretells what can be seen before."""
        ...

    def unarchive_many(self, paths: Sequence[str], dry_run: bool = False) -> list[RolloutFile | StoreFailure]:
        """`unarchive` for each path, in the same way."""
        ...

    def remove(self, path: str, dry_run: bool = False) -> None:
        """Delete a rollout, durably. Already gone counts as done. A dry run only raises what it would.

        Raises:
            PathOutsideHome: the path does not lie in one of the two folders.
        """

    def names(self) -> dict[str, str]:
        """Thread names by id: the newest line of session_index.jsonl for each."""
        ...

    def names_stamp(self) -> FileStamp | None:
        """Stamp of session_index.jsonl, None if there is none."""

    def append_name(self, thread_id: str, name: str, at_ms: int) -> None:
        """Append one line to session_index.jsonl, durably. May run beside a Codex that does the same."""

    def forget_name(self, thread_id: str) -> None:
        """Rewrite session_index.jsonl without the id (Codex does so on delete). Nothing to forget is fine."""


# ---------------------------------------------------------------------------------------------- state


class StateStore(HistoryStore, ReceiptStore, UnreadableStore, CopyStore, Protocol):
    """Rows, edges, events, journal, receipts. A read sees all that was committed before it began."""

    def commit(self, change: Change) -> list[ThreadEvent]:
        """Apply one change; returns the events appended (those derived from `observed` first), with seq and time."""
        ...

    # rows
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

    def match_prefix(self, prefix: str, limit: int) -> list[str]:
        """Ids that begin with a prefix, sorted."""
        ...

    def match_name(self, name: str, limit: int) -> list[str]:
        """Ids of the threads with exactly this name, active ones first, then the newest by `updated_at`."""
        ...

    def compare(self, found: Iterable[RolloutFile]) -> Difference:
        """How the rows stand to all the files that there are. Holds no more than what differs."""
        ...

    def compare_folders(self, folders: Mapping[str, Mapping[str, FileStamp | None]]) -> Difference:
        """How the rows stand to the rollouts that lie directly in these folders, by folder and by path; where a stamp
        is not known, a row that names the file is enough."""
        ...

    def written_last(self, limit: int) -> dict[str, FileStamp]:
        """Paths and stamps of the rollouts with the newest mtimes, as the rows tell them; a look at every row."""
        ...

    def stamps(self, thread_ids: Collection[str] | None = None) -> dict[str, tuple[str, FileStamp]]:
        """Path and file stamp of the rows of these threads, or of all, by thread id: cheaper than the rows."""
        ...

    def largest(self, limit: int) -> dict[str, int]:
        """The sizes of the largest rollouts as the rows tell them, in bytes by thread id, the largest first; it takes a
        look at every row."""
        ...

    def rows_at(self, paths: Collection[str]) -> dict[str, tuple[str, FileStamp]]:
        """Path and stamp, by thread id, of the rows that name one of these paths."""
        ...

    def names_stamp(self) -> FileStamp | None:
        """The stamp of session_index.jsonl that the rows' names were last taken from."""

    def names(self) -> dict[str, str]:
        """The names that rows have, by thread id."""
        ...

    def apply_names(self, names: dict[str, str], stamp: FileStamp | None) -> list[ThreadEvent]:
        """Set the rows' names to these, remember the stamp; returns the events of the names that changed."""
        ...

    # edges
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

    # events
    def events_after(
        self, seq: int, *, limit: int, thread_id: str | None = None, types: Collection[EventType] | None = None
    ) -> list[ThreadEvent]:
        """Events with a greater seq, oldest first."""
        ...

    def last_seq(self) -> int:
        """Seq of the newest event, 0 if there is none."""
        ...

    # journal
    def operation(self, operation_id: str) -> Operation | None: ...

    def running_operations(self) -> list[Operation]:
        """Operations that were planned and not finished, oldest first."""
        ...

    def moved_with(self, kind: str, thread_id: str) -> set[str]:
        """The threads of the newest finished operation of a kind that the thread is among: those for which it is the
        newest too. One is newer than another that was recorded before it."""
        ...

    # tombstones
    def deleted(self, thread_ids: Collection[str]) -> frozenset[str]:
        """Which of these have a tombstone."""
        ...

    # backfill
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
