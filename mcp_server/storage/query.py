"""What the rows of stored threads are asked, and what they answer. Values, and what a filter means."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from mcp_server.models.cwd import canonical_cwd
from mcp_server.models.history import TurnSpan
from mcp_server.models.thread import SortDirection, SourceKind, StoredThread, ThreadSortKey

COUNTED = 500
"""How far rows are counted where only looking at each would tell their number."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A place in a sorted list: the sort key in milliseconds, and the id that breaks ties (None: before all ids)."""

    at_ms: int
    thread_id: str | None = None


@dataclass(frozen=True, slots=True)
class ThreadQuery:
    """Which stored threads, in which order. `None` means no restriction, an empty collection nothing at all.

    `search_term` is a literal, case-sensitive part of name or preview. `since_ms` and `until_ms` bound the sort key.
    `cwds` find every spelling of these places.
    """

    archived: bool | None = False
    source_kinds: Collection[SourceKind] | None = None
    model_providers: Collection[str] | None = None
    cwds: Collection[str] | None = None
    search_term: str | None = None
    parent_id: str | None = None
    ancestor_id: str | None = None
    attached_to_id: str | None = None
    ids: Collection[str] | None = None
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
    """`files`: paths that no row names with the stamp that the file has, but for what is known, as it is, to be
    unreadable or a copy of a thread that has a row. `rows`: thread id and path of rows whose path is not among the
    files, or is there with another stamp. `lapsed`: paths that are known as unreadable or as copies and are gone."""

    files: frozenset[str] = frozenset()
    rows: dict[str, str] = field(default_factory=dict[str, str])
    lapsed: frozenset[str] = frozenset()

    @property
    def changed(self) -> frozenset[str]:
        """The paths of which what is known, in a row, as unreadable or as a copy, does not hold any more."""
        return self.files | self.lapsed


class Grouped(Protocol):
    """What the filters of a query look at that few threads differ in."""

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


class Listed(Grouped, Protocol):
    """What the filters of a query look at, but for its term and its tree."""

    @property
    def cwd(self) -> str: ...


def fits_group(threads: Grouped, query: ThreadQuery) -> bool:
    """Whether the query may let threads through that have this in common."""
    return (
        (query.archived is None or threads.archived == query.archived)
        and (query.with_preview is None or threads.has_preview == query.with_preview)
        and (query.attached is None or threads.attached == query.attached)
        and (query.source_kinds is None or threads.source_kind in query.source_kinds)
        and (query.model_providers is None or threads.model_provider in query.model_providers)
    )


def fits(thread: Listed, key_ms: int, query: ThreadQuery) -> bool:
    """Whether the query lets a thread through that has this value of the sort key; but for its term and its tree."""
    return (
        fits_group(thread, query)
        and (query.cwds is None or canonical_cwd(thread.cwd) in set(map(canonical_cwd, query.cwds)))
        and in_time(key_ms, query)
    )


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
    """What texts are asked for: all `literals` are in them, whatever their case. `threads` bounds their threads (its
    order and page don't count), `thread_id` names a single one, `before` is the place that the last page ended at."""

    literals: tuple[str, ...]
    threads: ThreadQuery
    tools: bool = False
    thread_id: str | None = None
    before: int | None = None
    limit: int = 25


@dataclass(frozen=True, slots=True)
class TextPlace:
    """A text that may hold what was asked for: the lines in `[start, end)` of the turn at `span`; None if that is gone,
    or if a message between turns is there. `number` falls from newer texts to older ones."""

    number: int
    thread: StoredThread
    span: TurnSpan | None
    start: int
    end: int
