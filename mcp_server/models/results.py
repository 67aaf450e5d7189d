"""What each verb answers. Rows come in `data`, one thread in `thread`, one turn in `turn`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from mcp_server.models.thread import Settings, Thread, ThreadHead, Value
from mcp_server.models.turn import Item, Turn


class Page(Value):
    next_cursor: str | None = Field(
        default=None, description="Pass as cursor for the rows that follow; null at the end"
    )
    backwards_cursor: str | None = Field(
        default=None, description="Pass as cursor with the opposite direction: this page's first row and what is beyond"
    )


class LoadedThread(Settings):
    """Answer of start, resume and fork: the thread, and the values in force in it."""

    thread: Thread = Field(description="The thread, with its last turns where it has any")
    subscription_id: str = Field(description="Handle of this subscription, for thread_unsubscribe")
    turns_next_cursor: str | None = Field(default=None, description="Pass to thread_read for the turns before these")
    suggested_parent_thread_id: str | None = Field(
        default=None, description="The calling thread, if known and not the parent; never assumed as parent"
    )
    ignored_overrides: list[str] = Field(
        default_factory=list[str], description="Settings of the request that a running thread does not take over"
    )


class Hidden(Value):
    """What the default filters left out; the filter that shows it is named."""

    sub_agents: int = Field(default=0, description="Sub-agent threads (source_kinds or ancestor_thread_id shows them)")
    archived: int = Field(default=0, description="Archived threads (archived=true shows them)")
    without_preview: int = Field(default=0, description="Threads that no user message was written to yet")
    file_missing: int = Field(default=0, description="Rows whose rollout was gone; they were dropped from the index")
    are_minimums: bool = Field(default=False, description="True if there are at least so many: counted to a bound only")


class ThreadListResult(Page):
    data: list[ThreadHead] = Field(description="Threads, without turns")
    total: int = Field(description="How many threads fit the filters")
    total_is_minimum: bool = Field(
        default=False,
        description="True if there are at least so many (search_term, since, until)",
    )
    hidden: Hidden = Field(description="How many threads the defaults left out")
    incomplete: str | None = Field(
        default=None,
        description="While the index is being built: how far it is. The rows are right; total and hidden count only "
        "what is indexed so far",
    )


class LoadedListResult(Page):
    data: list[str] = Field(description="Thread ids, sorted")
    total: int = Field(description="How many threads are loaded in this server")


class ThreadReadResult(Page):
    thread: Thread = Field(description="The thread; turns only if include_turns")
    total: int | None = Field(default=None, description="How many turns the thread has, if include_turns")


class ItemEntry(Value):
    turn_id: str = Field(description="The turn that the item belongs to")
    item: Item = Field(description="The item; long texts may be cut, see truncated")
    truncated: dict[str, int] = Field(
        default_factory=dict[str, int],
        description="Full length in characters of each field that was cut; ask again with item_id and text_offset",
    )


class ItemsResult(Page):
    thread_id: str = Field(description="The thread")
    data: list[ItemEntry] = Field(description="Items in order")
    total: int = Field(description="How many items the thread, or the turn, has")


class TreeNode(Value):
    thread_id: str = Field(description="Thread id")
    parent_thread_id: str | None = Field(default=None, description="Its parent in the tree")
    depth: int = Field(description="Depth below the root of the tree")
    nickname: str | None = Field(default=None, description="Nickname of a sub-agent")
    role: str | None = Field(default=None, description="Role of a sub-agent")
    title: str = Field(description="Name, else preview, shortened")
    status: str = Field(description="notLoaded, idle, active, systemError, or missing if there is no rollout")
    turns: int | None = Field(default=None, description="Number of turns; null where not counted")
    archived: bool = Field(default=False, description="Whether it is archived")
    edge: Literal["open", "closed"] | None = Field(default=None, description="State of the edge to its parent")


class TreeResult(Value):
    thread_id: str = Field(description="The thread that was asked for")
    root_thread_id: str = Field(description="The top of its tree")
    nodes: list[TreeNode] = Field(description="Ancestors and the whole subtree, in the order of the picture")
    tree: str = Field(description="The same as text")
    total: int = Field(description="How many threads the whole picture has")
    next_cursor: str | None = Field(default=None, description="Pass as cursor for what follows; null at the end")


class SearchHit(Value):
    thread: ThreadHead = Field(description="The thread, without turns")
    turn_id: str | None = Field(default=None, description="Null if the name matched")
    item_id: str | None = Field(default=None, description="Null if the name matched")
    snippet: str = Field(description="Text around the match, the match between ** and **")


class SearchResult(Page):
    data: list[SearchHit] = Field(description="Matches")
    total: int | None = Field(
        default=None, description="How many matches there are; null where they were not all counted"
    )
    incomplete: list[str] = Field(default_factory=list[str], description="What could not be searched, and why")


class Failure(Value):
    thread_id: str = Field(description="The thread that was passed over")
    reason: str = Field(description="Why")


class CascadeResult(Value):
    """The receipt of a cascade."""

    operation_id: str | None = Field(default=None, description="Id of the operation in the journal; null for a dry run")
    dry_run: bool = Field(default=False, description="Whether this is only the plan")
    failed: list[Failure] = Field(default_factory=list[Failure], description="Passed over, with reasons")
    interrupted: list[str] = Field(default_factory=list[str], description="Threads whose running turn was interrupted")


class ArchiveResult(CascadeResult):
    archived: list[str] = Field(description="Ids in the order of work: root, then descendants deepest first")
    already_archived: list[str] = Field(default_factory=list[str], description="Were archived before")


class UnarchiveResult(CascadeResult):
    thread: ThreadHead | None = Field(default=None, description="The root, as it is now; null for a dry run")
    unarchived: list[str] = Field(description="Ids in the order of work: root, then descendants, parents first")


class DeleteResult(CascadeResult):
    deleted: list[str] = Field(description="Ids in the order of work: descendants deepest first, then the root")
    already_gone: list[str] = Field(default_factory=list[str], description="There was nothing to delete")


class ThreadResult(Value):
    thread: ThreadHead = Field(description="The thread after the change, without turns")


class UnsubscribeResult(Value):
    thread_id: str = Field(description="The thread")
    status: Literal["unsubscribed", "notSubscribed", "notLoaded"] = Field(description="Codex's answer")


class TurnResult(Value):
    thread_id: str = Field(description="The thread")
    turn: Turn = Field(description="The turn as it stands now")


class AppendResult(Value):
    thread_id: str = Field(description="The thread")
    turn_id: str = Field(description="The running turn")
    item_ids: list[str] = Field(description="Ids of the items written, in order; a tool call and its output share one")


class EventRow(Value):
    seq: int = Field(description="Place in the log; pass the last one as after")
    at: str = Field(description="RFC 3339 time")
    type: str = Field(description="Event type")
    thread_id: str = Field(description="The thread it is about")
    payload: dict[str, Any] = Field(description="Codex's notification in snake_case")


class EventsResult(Value):
    data: list[EventRow] = Field(description="Events, oldest first")
    last_seq: int = Field(description="Pass as after in the next call")
    more: bool = Field(description="Whether further events are there already")


class LockInfo(Value):
    thread_id: str = Field(description="The thread")
    holder: str = Field(description="Who holds its writer lock")


class BadLineInfo(Value):
    path: str = Field(description="File, relative to the home")
    offset: int = Field(description="Byte offset of the line")
    reason: str = Field(description="Why it could not be used")


class SizeInfo(Value):
    thread_id: str = Field(description="The thread")
    bytes: int = Field(description="Size of its rollout")


class StatusResult(Value):
    home: str = Field(description="The folder served")
    versions: dict[str, str] = Field(description="Threadstore, Python, SQLite and the SDK")
    state_db: str | None = Field(default=None, description="Path of the state DB; null if served from the files alone")
    backfill: dict[str, Any] = Field(description="status, done, found, completed_at")
    histories: dict[str, int] = Field(
        default_factory=dict[str, int], description="Threads indexed for reading and search, and those to be read again"
    )
    counts: dict[str, int] = Field(
        description="Codex's doctor: rollout files and rows, active and archived, and how they differ"
    )
    missing: list[str] = Field(default_factory=list[str], description="Files without a row")
    stale: list[str] = Field(default_factory=list[str], description="Rows whose file is gone, moved or changed")
    duplicates: list[str] = Field(default_factory=list[str], description="Ids with more than one file")
    malformed: list[BadLineInfo] = Field(default_factory=list[BadLineInfo], description="What could not be read")
    locks: list[LockInfo] = Field(default_factory=list[LockInfo], description="Writer locks and their holders")
    loaded: int = Field(description="Threads loaded in this server")
    largest: list[SizeInfo] = Field(default_factory=list[SizeInfo], description="The largest rollouts")
    repaired: dict[str, int] | None = Field(default=None, description="What repair did, or would do in a dry run")
