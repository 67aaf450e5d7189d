"""The answer of each verb. Rows are in `data`, one thread in `thread`, one turn in `turn`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from mcp_server.models.thread import Settings, Thread, TurnState
from mcp_server.models.tokens import TokenUsage
from mcp_server.models.turn import Item, Turn, TurnStatus
from mcp_server.models.value import DETAIL, INTERNAL, Value, about

CodexLeft = Annotated[
    str | None, about("Why Codex's own database was left as it is, so that Codex does not see the change; else null")
]


class Page(Value):
    """An answer of which as many rows are shown as fit. `cursors` has one for each row, which goes on after it."""

    next_cursor: Annotated[str | None, about("Pass as cursor to go on")] = None
    backwards_cursor: Annotated[str | None, DETAIL] = None
    """With the opposite direction: this page's first row and what is beyond."""
    cursors: Annotated[list[str], INTERNAL] = []

    @property
    def rows(self) -> Sequence[Any]:
        return getattr(self, "data")  # noqa: B009 -- each page has it, of its own type

    def first(self, count: int) -> Self:
        """The page with its first rows only, and the cursor that goes on after them."""
        return replace(self, data=self.rows[:count], next_cursor=self.cursors[count - 1])


class LoadedThreadResult(Settings):
    """Answer of start, resume and fork: the thread, and the values in force in it."""

    thread: Annotated[Thread, about("The thread")]
    turns: Annotated[list[Turn], about("Its last turns, the oldest first")] = []
    cursors: Annotated[list[str], INTERNAL] = []
    subscription_id: Annotated[str, about("Handle of this subscription, for thread_unsubscribe")]
    turns_next_cursor: Annotated[str | None, about("Pass to thread_read for the turns before these")] = None
    suggested_parent_thread_id: Annotated[
        str | None, about("The calling thread, if known and not the parent; never assumed as parent")
    ] = None
    ignored_overrides: Annotated[
        list[str], about("Settings of the request that a running thread does not take over")
    ] = []

    @property
    def rows(self) -> Sequence[Turn]:
        return self.turns

    def first(self, count: int) -> Self:
        """The answer with its newest turns only."""
        start = len(self.turns) - count
        return replace(self, turns=self.turns[start:], turns_next_cursor=self.cursors[start])


class Hidden(Value):
    """What the default filters left out; the filter that shows it is named."""

    sub_agents: Annotated[int, about("Sub-agent threads (source_kinds or ancestor_thread_id shows them)")] = 0
    archived: Annotated[int, about("Archived threads (archived=true shows them)")] = 0
    attached: Annotated[int, about("Attached threads (include_attached_threads or attached_to_thread_id)")] = 0
    without_preview: Annotated[
        int,
        about(
            "Threads without a text of the user: only attachments, blank, the agent spoke first, or nothing was said "
            "yet (include_without_preview=true shows them)"
        ),
    ] = 0
    duplicates: Annotated[
        int, about("Copies of threads' files, under other names or in other places (store_status names them)")
    ] = 0
    file_missing: Annotated[int, about("Rows whose rollout was gone; they were dropped from the index")] = 0
    unreadable: Annotated[int, about("Files and folders that can't be read (store_status names them, and why)")] = 0
    are_minimums: Annotated[bool, about("True if there are at least so many: counted to a bound only")] = False


class ThreadListResult(Page):
    data: Annotated[list[Thread], about("Threads")]
    total: Annotated[int, about("How many threads fit the filters")]
    total_is_minimum: Annotated[bool, about("True if there are at least so many (search_term, since, until)")] = False
    hidden: Annotated[Hidden, about("How many threads the defaults left out")]
    incomplete: Annotated[
        str | None,
        about(
            "While the index is being built: how far it is. The rows are right; total and hidden count only "
            "what is indexed so far"
        ),
    ] = None
    note: Annotated[
        str | None, about("Of an empty list: what to know of the home, such as that it is new or that another has some")
    ] = None


class LoadedListResult(Page):
    data: Annotated[list[str], about("Thread ids, sorted")]
    total: Annotated[int, about("How many threads are loaded in this server")]


class ThreadTokens(TokenUsage):
    """The tokens of a thread, and apart from them what its context window holds now."""

    window: Annotated[int | UnsetType, about("Tokens that the last request took of the context window")] = UNSET
    window_size: Annotated[int | UnsetType, about("Size of the context window")] = UNSET


class ThreadReadResult(Page):
    thread: Annotated[Thread, about("The thread")]
    turns: Annotated[list[Turn], about("A page of turns, if include_turns")] = []
    total: Annotated[int | None, about("How many turns the thread has, if include_turns")] = None
    tokens: Annotated[ThreadTokens | UnsetType, about("Tokens used in the thread, where recorded")] = UNSET

    @property
    def rows(self) -> Sequence[Turn]:
        return self.turns

    def first(self, count: int) -> Self:
        return replace(self, turns=self.turns[:count], next_cursor=self.cursors[count - 1])


class ItemEntry(Value):
    turn_id: Annotated[str, about("The turn that the item belongs to")]
    item: Annotated[Item, about("The item; truncated has the full length of each text that was cut")]


class ItemsResult(Page):
    thread_id: Annotated[str, about("The thread")]
    data: Annotated[list[ItemEntry], about("Items in order")]
    total: Annotated[int, about("How many items the thread, or the turn, has")]


class TreeNode(Value):
    thread_id: Annotated[str, about("Thread id")]
    parent_thread_id: Annotated[str | None, about("Its parent in the tree")] = None
    depth: Annotated[int, about("Depth below the root of the tree")]
    nickname: Annotated[str | None, about("Nickname of a sub-agent")] = None
    role: Annotated[str | None, about("Role of a sub-agent")] = None
    title: Annotated[str, about("Name, else preview, shortened")]
    status: Annotated[str, about("notLoaded, idle, active, systemError, or missing if there is no rollout")]
    turns: Annotated[int | None, about("Number of turns; null where not counted")] = None
    tokens: Annotated[TokenUsage | UnsetType, about("Tokens used in it, where recorded and counted")] = UNSET
    last_turn: Annotated[TurnState | UnsetType, about("How the last turn stands, where known")] = UNSET
    running_in: Annotated[str | UnsetType, about("The other process that has it open")] = UNSET
    archived: Annotated[bool, about("Whether it is archived")] = False
    edge: Annotated[Literal["open", "closed"] | None, about("State of the edge to its parent")] = None


class Fork(Value):
    """A thread that goes on from a copy of another one's history."""

    thread_id: Annotated[str, about("The fork")]
    forked_from_id: Annotated[str, about("The thread of the tree that it was forked from")]
    title: Annotated[str, about("Name, else preview, shortened")]
    archived: Annotated[bool | UnsetType, about("Whether it is archived, if it is")] = UNSET


class TreeResult(Page):
    thread_id: Annotated[str, about("The thread that was asked for")]
    root_thread_id: Annotated[str, about("The top of its tree")]
    nodes: Annotated[list[TreeNode], about("Ancestors and the whole subtree, in the order of the picture")]
    tree: Annotated[str, INTERNAL]
    """The same as a drawing."""
    total: Annotated[int, about("How many threads the whole picture has")]
    forks: Annotated[list[Fork] | UnsetType, about("Threads that were forked from those shown")] = UNSET
    tokens: Annotated[TokenUsage | UnsetType, about("Sum over the threads shown")] = UNSET

    @property
    def rows(self) -> Sequence[TreeNode]:
        return self.nodes

    def first(self, count: int) -> Self:
        return replace(self, nodes=self.nodes[:count], next_cursor=self.nodes[count - 1].thread_id)


class Passage(Value):
    """A place in a thread that matches. Without ids it is the name, or a message between turns."""

    turn_id: Annotated[str | UnsetType, about("The turn")] = UNSET
    item_id: Annotated[str | UnsetType, about("The item; thread_items shows it whole")] = UNSET
    text: Annotated[str, about("Text around the match, the match between ** and **")]
    signs: Annotated[list[int] | UnsetType, DETAIL] = UNSET
    """Where the ** that mark matches stand in the text, if others stand there too."""

    @property
    def parts(self) -> list[str]:
        """The text without these signs: what is around matches and, every second part, a match."""
        if not self.signs:
            return self.text.split("**")
        begins, ends = [0, *(sign + 2 for sign in self.signs)], [*self.signs, len(self.text)]
        return [self.text[begin:end] for begin, end in zip(begins, ends, strict=True)]


class SearchRow(Value):
    thread: Annotated[Thread, about("The thread")]
    passages: Annotated[list[Passage], about("Its best passages; with thread_id all of them, newest first")]
    missing: Annotated[list[str] | UnsetType, about("Words that it does not hold")] = UNSET


class WordCount(Value):
    word: Annotated[str, about("As it was typed")]
    threads: Annotated[int, about("How many threads hold it")]
    nearest: Annotated[list[str] | UnsetType, about("Known words that are written much like it")] = UNSET


class NoMatch(Value):
    """What may help where nothing was found."""

    words: Annotated[list[WordCount], about("Each word by itself")]
    elsewhere: Annotated[dict[str, int] | UnsetType, about("How many threads would match: archived or active")] = UNSET


class SearchResult(Page):
    data: Annotated[list[SearchRow], about("Threads, the best first")]
    total: Annotated[int | None, about("How many there are; null where they were not all counted")] = None
    notes: Annotated[list[str], about("How the search was widened, because nothing else fits")] = []
    incomplete: Annotated[list[str], about("What could not be searched, and why")] = []
    no_match: Annotated[NoMatch | UnsetType, about("Of an empty answer: what may help")] = UNSET
    within: Annotated[bool, INTERNAL] = False
    """Whether it is the answer of one thread: then its rows are this thread's passages."""

    @property
    def rows(self) -> Sequence[Any]:
        return self.data[0].passages if self.within and self.data else self.data

    def first(self, count: int) -> Self:
        if not self.within:
            return super().first(count)
        data = [replace(self.data[0], passages=self.data[0].passages[:count])]
        return replace(self, data=data, next_cursor=self.cursors[count - 1], total=None)


class Failure(Value):
    thread_id: Annotated[str, about("The thread that was passed over")]
    reason: Annotated[str, about("Why")]


class Titled(Value):
    id: Annotated[str, about("A thread")]
    title: Annotated[str, about("Name, else preview, shortened")]


class CascadeResult(Value):
    """The receipt of a cascade."""

    operation_id: Annotated[str | None, about("Id of the operation in the journal; null for a dry run")] = None
    dry_run: Annotated[bool, about("Whether this is only the plan")] = False
    failed: Annotated[list[Failure], about("Passed over, with reasons")] = []
    interrupted: Annotated[list[str], about("Threads whose running turn was interrupted")] = []
    titles: Annotated[list[Titled], about("Of a dry run: the titles of the threads")] = []
    copies: Annotated[list[str], about("Copies of these threads' files, which are left as they are")] = []
    codex_db: CodexLeft = None
    needs: Annotated[str | None, about("In a dry run: what the call itself needs besides, null if nothing")] = None


class ArchiveResult(CascadeResult):
    archived: Annotated[list[str], about("Ids in the order of work: root, then descendants deepest first")]
    already_archived: Annotated[list[str], about("Were archived before")] = []


class UnarchiveResult(CascadeResult):
    thread: Annotated[Thread | None, about("The root, as it is now; null for a dry run and for an undo")] = None
    unarchived: Annotated[list[str], about("Ids in the order of work: root, then descendants, parents first")]
    already_unarchived: Annotated[list[str], about("Of an undo: were brought back before")] = []


class DeleteResult(CascadeResult):
    deleted: Annotated[list[str], about("Ids in the order of work: descendants deepest first, then the root")]
    already_gone: Annotated[list[str], about("There was nothing to delete")] = []


class ThreadResult(Value):
    thread: Annotated[Thread, about("The thread after the change")]
    codex_db: CodexLeft = None


class UnsubscribeResult(Value):
    thread_id: Annotated[str, about("The thread")]
    status: Annotated[Literal["unsubscribed", "notSubscribed", "notLoaded"], about("Codex's answer")]


class TurnResult(Value):
    thread_id: Annotated[str, about("The thread")]
    turn: Annotated[Turn, about("The turn as it stands now")]
    not_recorded: Annotated[list[str] | UnsetType, about("Parts of a message that a rollout can't hold")] = UNSET


class AppendResult(Value):
    thread_id: Annotated[str, about("The thread")]
    turn_id: Annotated[str, about("The running turn")]
    item_ids: Annotated[list[str], about("Ids of the items written, in order; a tool call and its output share one")]


class EventRow(Value):
    seq: Annotated[int, about("Place in the log; pass the last one as after")]
    at: Annotated[str, about("RFC 3339 time")]
    type: Annotated[str, about("Event type")]
    thread_id: Annotated[str, about("The thread it is about")]
    payload: Annotated[dict[str, Any], about("Codex's notification in snake_case")]


class TurnOutcome(Value):
    """How the last turn of a thread stands."""

    thread_id: Annotated[str, about("The thread")]
    running: Annotated[bool, about("Whether it still runs, in whatever process; then wait again")]
    turn_id: Annotated[str | UnsetType, about("The turn; absent if the thread has none")] = UNSET
    status: Annotated[TurnStatus | UnsetType, about("How it stands or ended")] = UNSET
    error: Annotated[str | UnsetType, about("Why it failed")] = UNSET
    message: Annotated[str | UnsetType, about("The last agent message")] = UNSET
    message_chars: Annotated[int | UnsetType, about("Its full length if it is cut; thread_items has the rest")] = UNSET
    tokens: Annotated[TokenUsage | UnsetType, about("Tokens used in the turn, where recorded")] = UNSET


class EventsResult(Value):
    data: Annotated[list[EventRow], about("Events, oldest first")]
    last_seq: Annotated[int, about("Pass as after in the next call")]
    more: Annotated[bool, about("Whether further events are there already")] = False
    gone: Annotated[int | UnsetType, about("Events up to this seq are no longer kept")] = UNSET
    outcome: Annotated[TurnOutcome | UnsetType, about("With until=turn_end: how the thread's turn stands")] = UNSET

    @property
    def rows(self) -> Sequence[EventRow]:
        return self.data

    def first(self, count: int) -> Self:
        return replace(self, data=self.data[:count], last_seq=self.data[count - 1].seq, more=True)


class LockInfo(Value):
    thread_id: Annotated[str, about("The thread")]
    holder: Annotated[str, about("Who holds its writer lock")]


class BadLineInfo(Value):
    path: Annotated[str, about("File, relative to the home")]
    offset: Annotated[int, about("Byte offset of the line")]
    reason: Annotated[str, about("Why it could not be used")]


class SizeInfo(Value):
    thread_id: Annotated[str, about("The thread")]
    bytes: Annotated[int, about("Size of its rollout")]


class StatusResult(Value):
    home: Annotated[str, about("The folder served")]
    notes: Annotated[list[str], about("What to know of it: new, not the only one, folders that are left out")] = []
    versions: Annotated[dict[str, str], about("Threadstore, Python, SQLite and the SDK")]
    state_db: Annotated[str | None, about("Path of the state DB; null if served from the files alone")] = None
    backfill: Annotated[dict[str, Any], about("status, done, found, completed_at")]
    histories: Annotated[
        dict[str, int], about("Threads indexed for reading and search, and those to be read again")
    ] = {}
    counts: Annotated[
        dict[str, int], about("Codex's doctor: rollout files and rows, active and archived, and how they differ")
    ]
    missing: Annotated[list[str], about("Files without a row")] = []
    stale: Annotated[list[str], about("Rows whose file is gone, moved or changed")] = []
    duplicates: Annotated[list[str], about("Ids with more than one file")] = []
    malformed: Annotated[list[BadLineInfo], about("What could not be read")] = []
    locks: Annotated[list[LockInfo], about("Writer locks and their holders")] = []
    loaded: Annotated[int, about("Threads loaded in this server")]
    largest: Annotated[list[SizeInfo], about("The largest rollouts")] = []
    repaired: Annotated[dict[str, int] | None, about("What repair did, or would do in a dry run")] = None


class OutlineEntry(Value):
    """A message of the user; or a turn without one."""

    turn_id: Annotated[str, about("The turn; thread_items with turn_id shows it")]
    at: Annotated[str | UnsetType, about("When the turn began")] = UNSET
    text: Annotated[str, about("What the user said; empty if nothing")]
    chars: Annotated[int | UnsetType, about("Full length of the text if it is cut")] = UNSET
    status: Annotated[TurnStatus | UnsetType, about("How the turn ended, if not completed")] = UNSET


class OutlineResult(Page):
    thread_id: Annotated[str, about("The thread")]
    data: Annotated[list[OutlineEntry], about("The user's messages, oldest first")]
    total: Annotated[int, about("How many turns the thread has")]


class StatsRow(Value):
    """What was done in one group."""

    key: Annotated[str | UnsetType, about("Day, cwd, model, agent, tag or status; not in the sum")] = UNSET
    threads: Annotated[int, about("Threads with such turns")]
    turns: Annotated[int, about("Turns")]
    failed: Annotated[int | UnsetType, about("Of these, failed")] = UNSET
    interrupted: Annotated[int | UnsetType, about("Of these, interrupted or without an end")] = UNSET
    tokens: Annotated[TokenUsage | UnsetType, about("Tokens used in them, where recorded")] = UNSET


class StatsResult(Value):
    group_by: Annotated[str, about("What the rows are")]
    data: Annotated[list[StatsRow], about("Days newest first, others with the most turns first")]
    total: Annotated[StatsRow, about("All together; a thread counts once")]
    more_groups: Annotated[int, about("Further groups, which only total counts (limit)")] = 0
    zone: Annotated[str | UnsetType, about("The time zone of the days")] = UNSET
    incomplete: Annotated[list[str] | UnsetType, about("What could not be counted, and why")] = UNSET

    @property
    def rows(self) -> Sequence[StatsRow]:
        return self.data

    def first(self, count: int) -> Self:
        left = self.more_groups + len(self.data) - count
        return replace(self, data=self.data[:count], more_groups=left)


class BriefAnswer(Value):
    turn_id: Annotated[str, about("The turn")]
    at: Annotated[str | UnsetType, about("When it began")] = UNSET
    asked: Annotated[str | UnsetType, about("What the user asked")] = UNSET
    answer: Annotated[str | UnsetType, about("The last message of the agent")] = UNSET
    status: Annotated[TurnStatus | UnsetType, about("How the turn ended, if not completed")] = UNSET


class BriefFailure(Value):
    turn_id: Annotated[str, about("The turn")]
    what: Annotated[str, about("The command or tool, or turn")]
    error: Annotated[str, about("The end of what it said")]


class BriefAgent(Value):
    """A sub-agent."""

    thread_id: Annotated[str, about("Its thread")]
    name: Annotated[str, about("Nickname and role, else title")]
    status: Annotated[str | UnsetType, about("How its last turn ended, if not completed")] = UNSET
    answer: Annotated[str | UnsetType, about("Its last message")] = UNSET


class BriefState(Value):
    """How the thread stands."""

    turns: Annotated[int, about("How many turns it has")]
    last_turn: Annotated[str | UnsetType, about("How the last one stands")] = UNSET
    error: Annotated[str | UnsetType, about("Why the last one failed")] = UNSET
    worked_on: Annotated[str, about("When it was last worked on")]
    held_by: Annotated[str | UnsetType, about("The process that has it open")] = UNSET
    archived: Annotated[bool | UnsetType, about("Whether it is archived, if it is")] = UNSET
    tokens: Annotated[ThreadTokens | UnsetType, about("Tokens used, where recorded")] = UNSET


class BriefResult(Value):
    """A hand-over, as the thread itself tells it. Texts end with … where they are cut."""

    thread_id: Annotated[str, about("The thread")]
    name: Annotated[str | UnsetType, about("Its name")] = UNSET
    cwd: Annotated[str | UnsetType, about("Its working directory")] = UNSET
    branch: Annotated[str | UnsetType, about("Its git branch")] = UNSET
    parent_thread_id: Annotated[str | UnsetType, about("Its parent")] = UNSET
    tags: Annotated[list[str] | UnsetType, about("Its tags")] = UNSET
    goal: Annotated[str, about("The first message of the user")]
    state: Annotated[BriefState, about("How it stands")]
    decisions: Annotated[list[str] | UnsetType, about("Sentences that tell of decisions, the newest first")] = UNSET
    answers: Annotated[list[BriefAnswer] | UnsetType, about("The last turns, the newest first")] = UNSET
    open_points: Annotated[list[str] | UnsetType, about("Undone steps of the last plan, open questions")] = UNSET
    files: Annotated[list[str] | UnsetType, about("Files it changed, the last changed first")] = UNSET
    failures: Annotated[list[BriefFailure] | UnsetType, about("What failed, the newest first")] = UNSET
    sub_agents: Annotated[list[BriefAgent] | UnsetType, about("Threads below it")] = UNSET
    more: Annotated[dict[str, int] | UnsetType, about("How many more of each list there are")] = UNSET
    how_to_go_on: Annotated[str, about("What to call next")]


class ExportResult(Value):
    """An export: where it is, and what it holds."""

    thread_id: Annotated[str, about("The root of what was exported")]
    threads: Annotated[int, about("Threads in it")]
    path: Annotated[str | UnsetType, about("The file")] = UNSET
    size: Annotated[int, about("Its bytes")]
    sha256: Annotated[str, about("Its checksum")]
    masked: Annotated[dict[str, int] | UnsetType, about("Secrets that were masked, by kind")] = UNSET
    left_out: Annotated[dict[str, str] | UnsetType, about("Threads that could not be read, and why")] = UNSET


class ImportedThread(Value):
    thread_id: Annotated[str, about("Its id here")]
    old_id: Annotated[str | UnsetType, about("Its id in the bundle, which is taken here")] = UNSET
    name: Annotated[str | UnsetType, about("Its name")] = UNSET
    cwd: Annotated[str, about("Its working directory here")]
    old_cwd: Annotated[str | UnsetType, about("That in the bundle, if mapped")] = UNSET
    archived: Annotated[bool | UnsetType, about("Whether it is archived, if it is")] = UNSET
    borrowed: Annotated[bool | UnsetType, INTERNAL] = UNSET
    """Whether it is there only because others borrow from its history."""


class ImportResult(Value):
    dry_run: Annotated[bool, about("If so, nothing was done")] = False
    thread_id: Annotated[str, about("The root here")]
    data: Annotated[list[ImportedThread], about("The threads, the root first")]
    total: Annotated[int, about("How many")]
    new_ids: Annotated[int, about("How many of them got new ids")] = 0
    bytes: Annotated[int, INTERNAL]
    """Bytes of their rollouts."""
    masked: Annotated[dict[str, int] | UnsetType, about("What the exporter masked, by kind")] = UNSET

    @property
    def rows(self) -> Sequence[ImportedThread]:
        return self.data

    def first(self, count: int) -> Self:
        return replace(self, data=self.data[:count])
