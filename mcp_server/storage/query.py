"""Queries for the rows of threads, and their answers; and what each filter means."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from mcp_server.models.cwd import canonical_cwd, is_within
from mcp_server.models.history import TurnSpan
from mcp_server.models.thread import SortDirection, SourceKind, StoredThread, ThreadSortKey, TurnState

COUNTED = 500
"""How far rows are counted if each of them must be examined."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A place in a sorted list: the sort key in milliseconds, and the id that breaks ties (None: before all ids)."""

    at_ms: int
    thread_id: str | None = None


@dataclass(frozen=True, slots=True)
class ThreadQuery:
    """Which stored threads, in which order. `None` means no restriction, an empty collection nothing at all.

    `search_term` is a literal, case-sensitive part of name or preview. `since_ms` and `until_ms` bound the sort key.
    `cwds` find every spelling of these places, and all that lies below them. `last_turns` are states of the last turn:
    one without an end is `running` in a thread of `held`, and `crashed` in any other.
    """

    archived: bool | None = False
    source_kinds: Collection[SourceKind] | None = None
    model_providers: Collection[str] | None = None
    cwds: Collection[str] | None = None
    search_term: str | None = None
    parent_id: str | None = None
    ancestor_id: str | None = None
    attached_to_id: str | None = None
    forked_from: Collection[str] | None = None
    ids: Collection[str] | None = None
    named: bool | None = None
    last_turns: Collection[TurnState] | None = None
    held: Collection[str] = ()
    since_ms: int | None = None
    until_ms: int | None = None
    with_preview: bool | None = True
    attached: bool | None = False
    sort_key: ThreadSortKey = "created_at"
    direction: SortDirection = "desc"
    after: Anchor | None = None
    limit: int = 25

    @property
    def tree(self) -> bool:
        """Whether it asks for threads below another."""
        return self.parent_id is not None or self.ancestor_id is not None


class Count(NamedTuple):
    """A number of rows. With `minimum` there are at least so many: they were not all counted."""

    n: int
    minimum: bool = False


@dataclass(frozen=True, slots=True)
class ThreadRows:
    """A page: `total` counts what fits the query, wherever the page begins; `more` tells whether rows follow; `beside`
    counts what fits the queries that were asked beside it; `copies` counts copies of threads' files, whatever the
    query."""

    rows: tuple[StoredThread, ...]
    total: Count
    more: bool
    beside: tuple[Count, ...] = ()
    copies: Count = field(default=Count(0))


@dataclass(frozen=True, slots=True)
class Difference:
    """How files and rows differ.

    Fields:
        files: paths of files that match no row by path and stamp, except those that are remembered with this very stamp
            as unreadable, or as a copy of a thread that has a row.
        rows: thread id and path of the rows whose file is gone or has another stamp.
        lapsed: paths that are remembered as unreadable or as copies, and whose file is gone.
    """

    files: frozenset[str] = frozenset()
    rows: dict[str, str] = field(default_factory=dict[str, str])
    lapsed: frozenset[str] = frozenset()

    @property
    def changed(self) -> frozenset[str]:
        """The paths about which a row, or what is remembered, is no longer right."""
        return self.files | self.lapsed


class Grouped(Protocol):
    """The fields with few distinct values that a query filters by. Threads that agree in them form a group."""

    @property
    def archived(self) -> bool: ...
    @property
    def has_preview(self) -> bool: ...
    @property
    def attached(self) -> bool: ...
    @property
    def source_kind(self) -> str: ...
    @property
    def model_provider(self) -> str: ...


def fits_group(threads: Grouped, query: ThreadQuery) -> bool:
    """Whether threads of this group may fit the query."""
    return (
        (query.archived is None or threads.archived == query.archived)
        and (query.with_preview is None or threads.has_preview == query.with_preview)
        and (query.attached is None or threads.attached == query.attached)
        and (query.source_kinds is None or threads.source_kind in query.source_kinds)
        and (query.model_providers is None or threads.model_provider in query.model_providers)
    )


def fits(thread: StoredThread, key_ms: int, query: ThreadQuery) -> bool:
    """Whether a thread with this value of the sort key fits the query, apart from its search term and its tree."""
    return (
        fits_group(thread, query)
        and (query.cwds is None or _within_any(canonical_cwd(thread.cwd), query.cwds))
        and (query.named is None or (thread.name is not None) == query.named)
        and (query.last_turns is None or state_of(thread, query.held) in query.last_turns)
        and in_time(key_ms, query)
    )


def _within_any(place: str, cwds: Collection[str]) -> bool:
    return any(is_within(place, canonical_cwd(cwd)) for cwd in cwds)


def state_of(thread: StoredThread, held: Collection[str]) -> TurnState | None:
    """How the last turn stands, if these threads are held by processes; None where that is not known."""
    match thread.last_turn and thread.last_turn.status:
        case "inProgress":
            return "running" if thread.id in held else "crashed"
        case ended:
            return ended


def in_time(key_ms: int, query: ThreadQuery) -> bool:
    """Whether a value of the sort key is within the bounds."""
    since, until = query.since_ms, query.until_ms
    return (since is None or key_ms >= since) and (until is None or key_ms <= until)


def beyond(key_ms: int, thread_id: str, query: ThreadQuery) -> bool:
    """Whether a row comes after the query's anchor, in its direction."""
    anchor, descending = query.after, query.direction == "desc"
    if anchor is None:
        return True
    if anchor.thread_id is None:
        return key_ms < anchor.at_ms if descending else key_ms > anchor.at_ms
    place, end = (key_ms, thread_id), (anchor.at_ms, anchor.thread_id)
    return place < end if descending else place > end


@dataclass(frozen=True, slots=True)
class TextQuery:
    """A query for texts that hold all `literals`, in any case. `threads` restricts their threads (its order and page
    are ignored), `thread_id` names a single one, `before` is the place at which the last page ended.

    With `numbers` it asks for the texts that have them, in this order, whatever else it says."""

    literals: tuple[str, ...]
    threads: ThreadQuery
    tools: bool = False
    thread_id: str | None = None
    before: int | None = None
    limit: int = 25
    numbers: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class TextPlace:
    """A text that may fit a `TextQuery`: the lines in `[start, end)` of the turn at `span`. `span` is None if the turn
    is gone, or for a message between turns. Newer texts have greater numbers."""

    number: int
    thread: StoredThread
    span: TurnSpan | None
    start: int
    end: int


WordForms = tuple[str, ...]
"""Ways to write one word, in its plain form (`plain_text`), the best first. One that ends in * stands for all words
that begin so."""


@dataclass(frozen=True, slots=True)
class WordQuery:
    """Words that texts and names are asked for. `threads` bounds their threads (its order and page don't count),
    `thread_id` names a single one. `names_only` leaves texts and first messages out."""

    words: tuple[WordForms, ...]
    threads: ThreadQuery
    tools: bool = False
    thread_id: str | None = None
    names_only: bool = False
    newest: int = 4_000
    """How many texts are looked at for a form of a word."""
    mapped: int = 1_000
    """Of how many of these the threads are looked up."""


class WordHit(NamedTuple):
    """A text that holds some of the words; without a `number` a thread's name, or its `first` message, which is among
    its texts too. `forms` has for each word which of its forms is there, the best one; None if none is."""

    number: int | None
    thread_id: str
    forms: tuple[int | None, ...]
    first: bool = False

    @property
    def in_name(self) -> bool:
        return self.number is None and not self.first


@dataclass(frozen=True, slots=True)
class WordHits:
    """What was found. `shares` tells for each word which part of all texts hold it, roughly. `complete` is false if
    more threads hold such words than were asked for: those that hold fewer of the words, or older texts, were left
    out. `whole` is false if threads that hold all the words may be among those: each word is in very many texts."""

    hits: tuple[WordHit, ...]
    shares: tuple[float, ...]
    complete: bool = True
    whole: bool = True
