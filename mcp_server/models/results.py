"""The answer of each verb. Rows are in `data`, one thread in `thread`, one turn in `turn`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, UnsetType

from mcp_server.models.thread import Settings, Thread, ThreadHead
from mcp_server.models.turn import Item, Turn
from mcp_server.models.value import Value, about

CodexLeft = Annotated[
    str | None, about("Why Codex's own database was left as it is, so that Codex does not see the change; else null")
]


class Page(Value):
    next_cursor: Annotated[str | None, about("Pass as cursor for the rows that follow; null at the end")] = None
    backwards_cursor: Annotated[
        str | None, about("Pass as cursor with the opposite direction: this page's first row and what is beyond")
    ] = None


class LoadedThreadResult(Settings):
    """Answer of start, resume and fork: the thread, and the values in force in it."""

    thread: Annotated[Thread, about("The thread, with its last turns where it has any")]
    subscription_id: Annotated[str, about("Handle of this subscription, for thread_unsubscribe")]
    turns_next_cursor: Annotated[str | None, about("Pass to thread_read for the turns before these")] = None
    suggested_parent_thread_id: Annotated[
        str | None, about("The calling thread, if known and not the parent; never assumed as parent")
    ] = None
    ignored_overrides: Annotated[
        list[str], about("Settings of the request that a running thread does not take over")
    ] = []


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
    data: Annotated[list[ThreadHead], about("Threads, without turns")]
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


class ThreadReadResult(Page):
    thread: Annotated[Thread, about("The thread; turns only if include_turns")]
    total: Annotated[int | None, about("How many turns the thread has, if include_turns")] = None


class ItemEntry(Value):
    turn_id: Annotated[str, about("The turn that the item belongs to")]
    item: Annotated[Item, about("The item; long texts may be cut, see truncated")]
    truncated: Annotated[
        dict[str, int],
        about("Full length in characters of each field that was cut; ask again with item_id and text_offset"),
    ] = {}


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
    archived: Annotated[bool, about("Whether it is archived")] = False
    edge: Annotated[Literal["open", "closed"] | None, about("State of the edge to its parent")] = None


class TreeResult(Value):
    thread_id: Annotated[str, about("The thread that was asked for")]
    root_thread_id: Annotated[str, about("The top of its tree")]
    nodes: Annotated[list[TreeNode], about("Ancestors and the whole subtree, in the order of the picture")]
    tree: Annotated[str, about("The same as text")]
    total: Annotated[int, about("How many threads the whole picture has")]
    next_cursor: Annotated[str | None, about("Pass as cursor for what follows; null at the end")] = None


class SearchHit(Value):
    thread: Annotated[ThreadHead, about("The thread, without turns")]
    turn_id: Annotated[str | None, about("Null if the name matched, or a message between turns")] = None
    item_id: Annotated[str | None, about("Null as turn_id is")] = None
    snippet: Annotated[str, about("Text around the match, the match between ** and **")]


class SearchResult(Page):
    data: Annotated[list[SearchHit], about("Matches")]
    total: Annotated[int | None, about("How many matches there are; null where they were not all counted")] = None
    incomplete: Annotated[list[str], about("What could not be searched, and why")] = []


class Failure(Value):
    thread_id: Annotated[str, about("The thread that was passed over")]
    reason: Annotated[str, about("Why")]


class CascadeResult(Value):
    """The receipt of a cascade."""

    operation_id: Annotated[str | None, about("Id of the operation in the journal; null for a dry run")] = None
    dry_run: Annotated[bool, about("Whether this is only the plan")] = False
    failed: Annotated[list[Failure], about("Passed over, with reasons")] = []
    interrupted: Annotated[list[str], about("Threads whose running turn was interrupted")] = []
    copies: Annotated[list[str], about("Copies of these threads' files, which are left as they are")] = []
    codex_db: CodexLeft = None
    needs: Annotated[str | None, about("In a dry run: what the call itself needs besides, null if nothing")] = None


class ArchiveResult(CascadeResult):
    archived: Annotated[list[str], about("Ids in the order of work: root, then descendants deepest first")]
    already_archived: Annotated[list[str], about("Were archived before")] = []


class UnarchiveResult(CascadeResult):
    thread: Annotated[ThreadHead | None, about("The root, as it is now; null for a dry run")] = None
    unarchived: Annotated[list[str], about("Ids in the order of work: root, then descendants, parents first")]


class DeleteResult(CascadeResult):
    deleted: Annotated[list[str], about("Ids in the order of work: descendants deepest first, then the root")]
    already_gone: Annotated[list[str], about("There was nothing to delete")] = []


class ThreadResult(Value):
    thread: Annotated[ThreadHead, about("The thread after the change, without turns")]
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


class EventsResult(Value):
    data: Annotated[list[EventRow], about("Events, oldest first")]
    last_seq: Annotated[int, about("Pass as after in the next call")]
    more: Annotated[bool, about("Whether further events are there already")]


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
