"""Writing turns: one whole line per record, the file first, then the row, then the event."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import Any, Literal

from msgspec import UNSET
from msgspec.structs import replace

from mcp_server.codex import writer as recording
from mcp_server.codex.fork import HistoryCopy, Numbering
from mcp_server.codex.lines import RawLine, RolloutLine, encode_line
from mcp_server.codex.old_rollout import BARE
from mcp_server.codex.open_calls import OpenCalls
from mcp_server.codex.parser import TurnBuilder
from mcp_server.codex.paths import COMPRESSED
from mcp_server.errors import (
    DamagedRollout,
    InvalidArgument,
    NoTurnInProgress,
    StoreFailure,
    TurnInProgress,
    UnknownHistoryMode,
)
from mcp_server.models.event import ThreadEvent
from mcp_server.models.history import ParserState
from mcp_server.models.params import ForkParams, UserInput
from mcp_server.models.records import Change
from mcp_server.models.results import AppendResult, TurnResult
from mcp_server.models.thread import FileStamp, StoredThread
from mcp_server.models.turn import Item
from mcp_server.models.value import plain
from mcp_server.storage.contracts import Rollouts
from mcp_server.threads import notices
from mcp_server.threads.catalog import Catalog, checked_text
from mcp_server.threads.checks import check_error
from mcp_server.threads.history import history_text, select_view
from mcp_server.threads.loaded import LiveThread, RunningTurn
from mcp_server.threads.views import windowed

logger = logging.getLogger(__name__)

AppendItem = dict[str, Any]


class TurnWriter:
    """Appends to loaded threads. The caller of every method holds no lock; each takes the thread's own."""

    def __init__(self, catalog: Catalog, now_ms: Callable[[], int]) -> None:
        self._catalog, self._live, self._now = catalog, catalog.live, now_ms

    # ------------------------------------------------------------------------------------------ verbs

    def start(self, reference: str, message: UserInput) -> TurnResult:
        """Open a turn with a user message. The first one materialises the rollout."""
        live = self._loaded(reference)
        with live.writing():
            if live.turn is not None:
                raise TurnInProgress(live.thread.id, live.turn.id)
            check_message(message)
            now = self._now()
            turn_id = recording.new_id()
            builder = TurnBuilder(paginated=live.paginated, begin=ParserState(item=self._next_item(live)))
            turn = RunningTurn(turn_id, now, root_id=turn_id, builder=builder, calls=OpenCalls(live.open_calls))
            lines = [
                *recording.turn_started(turn_id, turn.root_id, now),
                *recording.turn_context(turn_id, live.settings, now),
                *recording.user_message(turn_id, message, now),
            ]
            written = self.write(live, lines, turn_id)
            live.turn, live.failed = turn, False
            items = turn.feed(written)
            live.thread = replace(
                live.thread,
                recency_at_ms=now,
                preview=live.thread.preview or recording.preview_of_input(message),
                recorded=plain(live.settings),
            )
            view = turn.view()
            events = [notices.status_changed(live), notices.turn_started(live.thread.id, view)]
            self.record(live, [*events, *self._items(live, turn_id, items)])
            lost = [f"{part['type']} {part['name']}" for part in message if part["type"] in recording.NOT_RECORDED]
            return TurnResult(thread_id=live.thread.id, turn=windowed(view), not_recorded=lost or UNSET)

    def append(self, reference: str, items: Sequence[AppendItem]) -> AppendResult:
        """Add items to the running turn, in one write: all of them, or none."""
        live = self._loaded(reference)
        with live.writing():
            turn = self._running(live)
            now = self._now()
            calls = turn.calls.with_items(items)
            lines = [line for item in items for line in self._lines_of(live, turn, item, now)]
            fed = turn.feed(self.write(live, lines, turn.id))
            turn.calls = calls
            self.record(live, self._items(live, turn.id, fed))
            return AppendResult(thread_id=live.thread.id, turn_id=turn.id, item_ids=[item.id for item in fed])

    def complete(
        self,
        reference: str,
        status: Literal["completed", "interrupted", "failed"],
        message: str | None,
        error: str | None,
    ) -> TurnResult:
        """End the running turn."""
        live = self._loaded(reference)
        with live.writing():
            turn = self._running(live)
            now = self._now()
            check_error(status, error)
            lines: list[RolloutLine] = []
            if message is not None:
                lines += recording.agent_message(turn.id, checked_text("message", message), now)
                turn.last_message = message
            lines += self._ending(turn, status, error, now)
            return self._end(live, turn, lines, failed=status == "failed")

    def interrupt(self, live: LiveThread) -> None:
        """Record the running turn as interrupted. The caller holds the thread's lock."""
        turn = self._running(live)
        lines = recording.turn_interrupted(turn.id, turn.root_id, turn.started_at_ms, self._now())
        self._end(live, turn, lines, failed=False)

    def copied(self, rollouts: Rollouts, source: StoredThread, params: ForkParams, now_ms: int) -> Generator[bytes]:
        """A fork's history, to stand between its own session metadata and its settings.

        Raises:
            DamagedRollout: a rollout that it is in is gone or can't be read.
            TurnNotFound: at the end, if the turn that bounds the copy isn't there.
        """
        bounds = {"last_turn_id": params.last_turn_id, "before_turn_id": params.before_turn_id}
        copy = HistoryCopy(source.id, now_ms, **bounds, old=source.history_mode == BARE)
        text = history_text(rollouts, source, self._catalog.source, whole=True)

        def translated(batch: Sequence[RawLine]) -> bytes:
            lines = [made for raw in batch if (line := text.decode(raw)) is not None for made in copy.feed(line)]
            return b"".join(map(encode_line, lines))

        with closing(text.lines(strict=True)) as batches:
            for batch in batches:
                yield translated(batch)
                if copy.done:
                    break
        yield b"".join(map(encode_line, copy.close()))

    def materialise(self, live: LiveThread) -> None:
        """Write the rollout with what waits for it, before any message. The caller holds the thread's lock."""
        if not live.materialised:
            self.write(live, [])

    # ------------------------------------------------------------------------------------------ steps

    def write(self, live: LiveThread, lines: Sequence[RolloutLine], turn_id: str = "") -> Sequence[RolloutLine]:
        """The file: created with the buffered lines first if it is not there yet, else appended to, in one write.

        Returns the lines as they were written: a paginated history takes them numbered and in its own form.
        """
        if live.numbering is not None:
            lines = live.numbering.number(lines, turn_id, self._now())
        data = b"".join(encode_line(line) for line in lines)
        if live.materialised:
            stamp = live.rollouts.append(live.thread.path, data)
        else:
            buffered = b"".join(encode_line(line) for line in live.pending)
            stamp = live.rollouts.create(live.thread.path, buffered + data)
            live.materialised, live.pending = True, []
            live.name_unsaved = live.thread.name is not None and not live.ephemeral
        live.thread = stamped(live, stamp)
        self._save_name(live)
        return lines

    def _save_name(self, live: LiveThread) -> None:
        """The name of a thread that was named before it had a file. The message is written by now, so a failure only
        puts this off to the next write."""
        if not live.name_unsaved or live.thread.name is None:
            return
        try:
            live.rollouts.append_name(live.thread.id, live.thread.name, self._now())
            live.name_unsaved = False
        except StoreFailure as error:
            logger.warning("the name of thread %s is not saved yet: %s", live.thread.id, error)

    def check_appendable(self, stored: StoredThread) -> None:
        """A row that outlived its file's sense (emptied, without metadata) may still be shown, but not written to.

        Raises:
            DamagedRollout: the file is not what the row says, and can't be read as a rollout; or it is a copy.
        """
        file = self._catalog.rollouts.stat(stored.path)
        if file is None:
            raise DamagedRollout(stored.path, "is gone")
        if file.stamp != stored.stamp:
            self._catalog.rollouts.describe(file)
        self._catalog.check_own(stored)

    def plain(self, stored: StoredThread) -> StoredThread:
        """The thread with a rollout that can be appended to: a compressed one is restored, as Codex does. The caller
        holds the writer lock.

        Raises:
            DamagedRollout: it can't be read to its end.
        """
        if not stored.path.endswith(COMPRESSED):
            return stored
        file = self._catalog.rollouts.restore(stored.path)
        restored = replace(stored, path=file.path, stamp=file.stamp)
        self._catalog.record(Change(threads=(restored,)))
        return restored

    def reread(self, live: LiveThread) -> None:
        """Take the thread's metadata from its file, and its name with it (a fork inherits one)."""
        file = live.rollouts.stat(live.thread.path)
        if file is None:
            raise DamagedRollout(live.thread.path, "is gone")
        described = (live.rollouts.describe(file)).thread
        live.thread = replace(described, name=live.thread.name)
        live.name_unsaved = live.thread.name is not None and not live.ephemeral
        self._save_name(live)

    def record(self, live: LiveThread, events: Sequence[ThreadEvent]) -> None:
        """The row and the events of what was written."""
        rows = () if live.ephemeral else (live.thread,)
        self._catalog.record(Change(threads=rows, events=tuple(events)))

    def _end(self, live: LiveThread, turn: RunningTurn, lines: Sequence[RolloutLine], *, failed: bool) -> TurnResult:
        items = turn.feed(self.write(live, lines, turn.id))
        live.turn, live.failed, live.open_calls = None, failed, turn.calls.waiting
        live.next_item = turn.builder.next_item
        view = turn.view()
        events = [*self._items(live, turn.id, items), notices.turn_completed(live.thread.id, view)]
        self.record(live, [*events, notices.status_changed(live)])
        return TurnResult(thread_id=live.thread.id, turn=windowed(select_view(view, "summary")))

    def _ending(self, turn: RunningTurn, status: str, error: str | None, now: int) -> list[RolloutLine]:
        if status == "interrupted":
            return recording.turn_interrupted(turn.id, turn.root_id, turn.started_at_ms, now)
        if status == "failed":
            return recording.turn_failed(
                turn.id, turn.root_id, turn.started_at_ms, checked_text("error", error or ""), now
            )
        return recording.turn_completed(turn.id, turn.root_id, turn.started_at_ms, turn.last_message, now)

    def _lines_of(self, live: LiveThread, turn: RunningTurn, item: AppendItem, now: int) -> list[RolloutLine]:
        match item["type"]:
            case "agentMessage":
                turn.last_message = checked_text("text", item["text"])
                return recording.agent_message(turn.id, item["text"], now)
            case "userMessage":
                text = checked_text("text", item["text"])
                return recording.user_message(turn.id, [{"type": "text", "text": text, "text_elements": []}], now)
            case "reasoning":
                return recording.reasoning(turn.id, checked_text("text", item["text"]), now)
            case "plan":
                return recording.plan(turn.id, live.thread.id, checked_text("text", item["text"]), now)
            case "toolCall":
                return recording.tool_call(turn.id, item["call_id"], item["name"], item["arguments"], now)
            case _:
                output = checked_text("output", item["output"], blank=True)
                return recording.tool_output(turn.id, item["call_id"], output, item.get("success"), now)

    def _loaded(self, reference: str) -> LiveThread:
        thread_id = self._catalog.resolve(reference)
        self._live.settled(thread_id)
        live = self._live.require(thread_id)
        self._live.touch(live.thread.id, self._live.elapsed_ms())
        return live

    def _running(self, live: LiveThread) -> RunningTurn:
        if live.turn is None:
            raise NoTurnInProgress(live.thread.id)
        return live.turn

    def _next_item(self, live: LiveThread) -> int:
        if live.next_item is None:
            live.next_item = 1
            if live.materialised:
                mark = (self._catalog.history(live.thread)).mark
                live.next_item, live.open_calls = mark.next_item, frozenset(mark.open_calls)
                if live.paginated:
                    live.numbering = Numbering(live.thread.id, mark.next_ordinal)
        return live.next_item

    def _items(self, live: LiveThread, turn_id: str, items: Sequence[Item]) -> list[ThreadEvent]:
        return [notices.item_completed(live.thread.id, turn_id, item) for item in items]


def check_form(stored: StoredThread) -> None:
    """Whether the rollout is of a form that is appended to.

    Raises:
        UnknownHistoryMode: it is not; a fork would be.
    """
    if stored.history_mode not in ("legacy", "paginated"):
        raise UnknownHistoryMode(stored.id, stored.history_mode)


def check_message(message: UserInput) -> None:
    """A user message says something that is recorded.

    Raises:
        InvalidArgument: only blank text or parts that leave nothing, or text that is not valid Unicode.
    """
    texts = [checked_text("input", part["text"], blank=True) for part in message if part["type"] == "text"]
    if any(text.strip() for text in texts) or any(part["type"] in ("image", "localImage") for part in message):
        return
    if len(texts) < len(message):
        why = "a rollout has no place for a skill or a mention alone"
        raise InvalidArgument("input", message[0]["type"], why, "name it in a part of type text too")
    raise InvalidArgument("input", texts[0][:40] if texts else [], "the message is empty", "send some text")


def stamped(live: LiveThread, stamp: FileStamp) -> StoredThread:
    """The thread with the stamp of its file as it is now."""
    return replace(live.thread, stamp=stamp, updated_at_ms=stamp.mtime_ns // 1_000_000)
