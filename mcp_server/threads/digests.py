"""What a person asks of a home in one breath: the thread on a topic, a day's or week's work, what ran, what is old."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from mcp_server.codex.work import said_by_agent, said_by_user
from mcp_server.errors import (
    AmbiguousReference,
    InvalidArgument,
    InvalidThreadId,
    ThreadNotFound,
    ThreadstoreError,
)
from mcp_server.models.params import ListParams, SearchParams, StatsGroup, StatsParams, ThreadFilter
from mcp_server.models.results import BriefResult, SearchResult, SearchRow, StatsResult
from mcp_server.models.thread import SourceKind, Thread
from mcp_server.models.times import moment
from mcp_server.models.turn import Turn
from mcp_server.threads.brief import Briefs
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.reader import Reader
from mcp_server.threads.search.searcher import Searcher
from mcp_server.threads.stats import Stats, begun_ms
from mcp_server.threads.usage import is_copied

_OTHERS = 4
_REVIEWED, _BRIEFED, _OLD = 40, 8, 100
_ANY_KIND: tuple[SourceKind, ...] = ("cli", "vscode", "exec", "appServer", "unknown", "subAgent")


@dataclass(frozen=True)
class Found:
    """The thread that a topic means, and others that it may mean; or an empty search, which tells what may help."""

    brief: BriefResult | None
    others: Sequence[SearchRow] = ()
    nothing: SearchResult | None = None


@dataclass(frozen=True)
class Work:
    """What was done in one thread within a time: the number of turns, and the last of them."""

    thread: Thread
    turns: int
    failed: int
    last: Turn

    @property
    def asked(self) -> str:
        return next((said for item in self.last.items if (said := said_by_user(item))), "")

    @property
    def answer(self) -> str:
        return next((said for item in reversed(self.last.items) if (said := said_by_agent(item))), "")


@dataclass(frozen=True)
class Review:
    """The work within a time. Sub-agents and archived threads count, but have no rows. `more` threads have none either,
    since they are too many."""

    counts: StatsResult
    work: Sequence[Work]
    more: int


@dataclass(frozen=True)
class Running:
    """Threads whose last turn has no end, the last worked on first; `briefs` tell of the first ones, by id."""

    threads: Sequence[Thread]
    briefs: dict[str, BriefResult]
    more: int


@dataclass(frozen=True)
class Unattended:
    """Threads that nobody has worked on for long, the oldest first."""

    threads: Sequence[Thread]
    more: int


class Digests:
    def __init__(
        self,
        catalog: Catalog,
        reader: Reader,
        searcher: Searcher,
        briefs: Briefs,
        stats: Stats,
        now_ms: Callable[[], int],
    ) -> None:
        self._catalog, self._reader, self._searcher = catalog, reader, searcher
        self._briefs, self._stats, self._now = briefs, stats, now_ms

    def about(self, topic: str) -> Found:
        """The thread that has this id or name, or else the one that answers a search for it best.

        Raises:
            InvalidArgument: as `Searcher.search`.
        """
        with suppress(ThreadNotFound, AmbiguousReference, InvalidThreadId):
            return Found(self._briefs.show(topic))
        found = self._searcher.search(SearchParams(topic, limit=_OTHERS + 1))
        if not found.data:
            return Found(None, nothing=found)
        best, *others = found.data
        return Found(self._briefs.show(best.thread.id), others)

    def brief(self, reference: str | None) -> BriefResult:
        """The hand-over of a thread, of the one worked on last if none is named.

        Raises:
            ThreadNotFound, DamagedRollout: as `Briefs.show`; or there is no thread at all.
        """
        if reference is not None:
            return self._briefs.show(reference)
        last = self._reader.list(ListParams(limit=1)).data
        if not last:
            raise ThreadNotFound("the one worked on last")
        return self._briefs.show(last[0].id)

    # ------------------------------------------------------------------------------------------ reviews

    def day(self, day: str, cwd: str | None) -> Review:
        """The work of one day, counted by project.

        Raises:
            InvalidArgument: it is no day.
        """
        begin, end = self._moment("day", day), self._moment("day", day, end=True)
        if begin >= end:
            raise InvalidArgument("day", day, "it is no day", "pass one such as today, yesterday or 2026-01-31")
        counts = self._counts(day, day, cwd, "cwd")
        return self._with_work(counts, day, cwd, range(begin, end + 1))

    def since(self, since: str, cwd: str | None) -> Review:
        """The work from a time on, counted by day.

        Raises:
            InvalidArgument: it is no time.
        """
        times = range(self._moment("since", since), self._now() + 1)
        return self._with_work(self._counts(since, None, cwd, "day"), since, cwd, times)

    def _counts(self, since: str, until: str | None, cwd: str | None, group_by: StatsGroup) -> StatsResult:
        where = ThreadFilter(since=since, until=until, cwd=_only(cwd))
        return self._stats.show(StatsParams(where, group_by))

    def _with_work(self, counts: StatsResult, since: str, cwd: str | None, times: range) -> Review:
        """Work on a thread may have gone on after the time, so only its begin bounds the list."""
        listed = self._reader.list(ListParams(ThreadFilter(since=since, cwd=_only(cwd)), limit=100)).data
        work = [done for thread in listed if (done := self._work_in(thread, times)) is not None]
        return Review(counts, work[:_REVIEWED], len(work[_REVIEWED:]))

    def _work_in(self, thread: Thread, times: range) -> Work | None:
        """What was done in a thread within a time; None for a thread that can't be read: it hides no other."""
        try:
            stored = self._catalog.known(thread.id)
            history = self._catalog.history(stored)
            spans = [
                span
                for span in history.spans(0, history.checkpoint.turns)
                if not is_copied(stored, span) and begun_ms(stored, span) in times
            ]
            turns = history.show(spans[-1:], "summary")
        except ThreadstoreError:
            return None
        failed = sum(span.facts.status == "failed" for span in spans)
        return Work(thread, len(spans), failed, turns[0]) if turns else None

    # ------------------------------------------------------------------------------------------ what stands open

    def running(self, since: str, cwd: str | None) -> Running:
        """Threads and sub-agents whose last turn runs, in whatever process, or has crashed.

        Raises:
            InvalidArgument: `since` is no time.
        """
        where = ThreadFilter(
            since=since, cwd=_only(cwd), last_turn=("running", "crashed"), source_kinds=_ANY_KIND,
            include_without_preview=True,
        )  # fmt: skip
        listed = self._reader.list(ListParams(where))
        briefs: dict[str, BriefResult] = {}
        for thread in listed.data[:_BRIEFED]:
            with suppress(ThreadstoreError):
                briefs[thread.id] = self._briefs.show(thread.id)
        return Running(listed.data, briefs, listed.total - len(listed.data))

    def unattended(self, older_than: str, cwd: str | None) -> Unattended:
        """Active threads that were not worked on since a time, but for those that somebody has named, tagged or put
        into a section, and those that a process has open.

        Raises:
            InvalidArgument: `older_than` is no time.
        """
        self._moment("older_than", older_than)
        where = ThreadFilter(until=older_than, cwd=_only(cwd), named=False)
        listed = self._reader.list(ListParams(where, sort_direction="asc", limit=_OLD))
        threads = [one for one in listed.data if not (one.tags or one.section or one.running_in)]
        return Unattended(threads, listed.total - len(listed.data))

    def _moment(self, name: str, text: str, *, end: bool = False) -> int:
        try:
            return moment(text, self._now(), end=end)
        except ValueError as error:
            raise InvalidArgument(name, text, str(error), "pass one such as yesterday or 7d") from error


def _only(cwd: str | None) -> list[str] | None:
    return None if cwd is None else [cwd]
