"""The verb that counts: threads, turns, failures and tokens by day, project, model, agent, tag or status."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from msgspec import UNSET

from mcp_server.codex.files import rollout_of
from mcp_server.errors import ThreadstoreError
from mcp_server.models.counting import counted
from mcp_server.models.history import IndexCheckpoint, TurnSpan
from mcp_server.models.page import clamp_limit
from mcp_server.models.params import StatsGroup, StatsParams
from mcp_server.models.results import StatsResult, StatsRow
from mcp_server.models.thread import StoredThread
from mcp_server.models.tokens import TokenUsage
from mcp_server.storage.query import Anchor, ThreadQuery
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.reader import Reader
from mcp_server.threads.usage import is_copied, used_in

_PAGE = 500
# So many threads that are not indexed yet are read for one answer.
_READ_NOW = 50
NONE = "(none)"


@dataclass
class Counts:
    """What is counted in one group."""

    threads: set[str] = field(default_factory=set[str])
    turns: int = 0
    failed: int = 0
    interrupted: int = 0
    tokens: TokenUsage = field(default_factory=TokenUsage)

    def add(self, thread_id: str, span: TurnSpan, tokens: TokenUsage | None) -> None:
        self.threads.add(thread_id)
        self.turns += 1
        self.failed += span.facts.status == "failed"
        self.interrupted += span.facts.status in ("interrupted", "inProgress")
        self.tokens += tokens or TokenUsage()

    def row(self, key: str | None) -> StatsRow:
        return StatsRow(
            key=UNSET if key is None else key,
            threads=len(self.threads),
            turns=self.turns,
            failed=self.failed or UNSET,
            interrupted=self.interrupted or UNSET,
            tokens=UNSET if self.tokens == TokenUsage() else self.tokens,
        )


class Stats:
    def __init__(self, catalog: Catalog, reader: Reader) -> None:
        self._catalog, self._reader = catalog, reader

    def show(self, params: StatsParams) -> StatsResult:
        """Counts over the turns of the threads that the filter lets through: of sub-agents, attached and archived
        threads too. `since` and `until` bound the turns. A turn that a fork has copied counts in its source alone.

        Raises:
            InvalidArgument: as `Reader.query`.
        """
        query = self._query(params)
        groups: dict[str, Counts] = {}
        total, unread = Counts(), 0
        for page in self._pages(query):
            spans, left = self._spans(page)
            unread += left
            for thread in self._catalog.with_tags(page) if params.group_by == "tag" else page:
                _count(thread, spans.get(thread.id, ()), query, params.group_by, groups, total)
        days = params.group_by == "day"
        keys = sorted(groups, reverse=True) if days else sorted(groups, key=lambda key: (-groups[key].turns, key))
        limit = clamp_limit(params.limit)
        threads = counted(unread, "thread is", "threads are")
        notes = [f"{threads} not indexed yet; store_status tells how far that is"] if unread else []
        return StatsResult(
            group_by=params.group_by,
            data=[groups[key].row(key) for key in keys[:limit]],
            total=total.row(None),
            more_groups=max(0, len(keys) - limit),
            zone=str(datetime.now().astimezone().tzinfo) if days else UNSET,
            incomplete=notes or UNSET,
        )

    def _query(self, params: StatsParams) -> ThreadQuery:
        return replace(
            self._reader.query(params.filter, lambda: self._catalog.lookup.index().cwds()),
            archived=params.archived,
            source_kinds=params.filter.source_kinds or None,
            with_preview=None,
            attached=None,
            sort_key="updated_at",
            limit=_PAGE,
        )

    def _pages(self, query: ThreadQuery) -> Iterator[Sequence[StoredThread]]:
        """The threads that may have such turns, page by page: those that were last changed after the time began."""
        index = self._catalog.lookup.index()
        query = replace(query, until_ms=None)
        while True:
            page = index.list(query)
            yield page.rows
            if not page.more:
                return
            last = page.rows[-1]
            query = replace(query, after=Anchor(last.updated_at_ms, last.id))

    def _spans(self, threads: Sequence[StoredThread]) -> tuple[dict[str, list[TurnSpan]], int]:
        """The turns of these threads, and how many threads could not be counted. A few unread ones are read now."""
        store = self._catalog.log
        ids = [thread.id for thread in threads]
        checkpoints = store.checkpoints(ids)
        behind = [thread for thread in threads if _is_behind(thread, checkpoints.get(thread.id))]
        left = 0
        for number, thread in enumerate(behind):
            if number >= _READ_NOW or not self._read(thread):
                left += 1
        return store.all_spans(ids), left

    def _read(self, thread: StoredThread) -> bool:
        try:
            self._catalog.history(thread)
        except ThreadstoreError:
            return False
        return True


def _is_behind(thread: StoredThread, checkpoint: IndexCheckpoint | None) -> bool:
    return checkpoint is None or checkpoint.version != rollout_of(thread).version


def _count(
    thread: StoredThread,
    spans: Sequence[TurnSpan],
    query: ThreadQuery,
    group_by: StatsGroup,
    groups: dict[str, Counts],
    total: Counts,
) -> None:
    used = used_in(spans)
    for span in spans:
        at_ms = begun_ms(thread, span)
        if is_copied(thread, span) or not _within(at_ms, query):
            continue
        total.add(thread.id, span, used.get(span.number))
        for key in _keys(thread, spans, at_ms, group_by):
            groups.setdefault(key, Counts()).add(thread.id, span, used.get(span.number))


def begun_ms(thread: StoredThread, span: TurnSpan) -> int:
    """When a turn began, in Unix milliseconds; where that is not recorded, when its thread was last changed."""
    return thread.updated_at_ms if span.facts.started_at is None else span.facts.started_at * 1000


def _within(at_ms: int, query: ThreadQuery) -> bool:
    since, until = query.since_ms, query.until_ms
    return (since is None or at_ms >= since) and (until is None or at_ms <= until)


def _keys(thread: StoredThread, spans: Sequence[TurnSpan], at_ms: int, group_by: StatsGroup) -> Sequence[str]:
    match group_by:
        case "day":
            return [datetime.fromtimestamp(at_ms / 1000).astimezone().date().isoformat()]
        case "cwd":
            return [thread.cwd or NONE]
        case "model":
            return [thread.model or NONE]
        case "agent":
            return [thread.agent_nickname or thread.agent_role or thread.originator or thread.source_kind]
        case "tag":
            return thread.tags or [NONE]
        case "status":
            return [spans[-1].facts.status]
