"""The verbs that write turns. Each writes whole lines to the file first, then the row, then the events."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, closing
from typing import Any, Literal

from msgspec import UNSET
from msgspec.structs import asdict, replace

from mcp_server.codex import writer as recording
from mcp_server.codex.files import rollout_of, with_rollout
from mcp_server.codex.fork import HistoryCopy, Numbering
from mcp_server.codex.lines import RawLine, RolloutLine, encode_line
from mcp_server.codex.old_rollout import BARE
from mcp_server.codex.open_calls import OpenCalls
from mcp_server.codex.parser import TurnBuilder
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
from mcp_server.models.thread import StoredThread, last_turn
from mcp_server.models.turn import Item
from mcp_server.models.value import plain
from mcp_server.storage.contracts import Rollouts, UnitOfWork
from mcp_server.threads import notices
from mcp_server.threads.catalog import Catalog, checked_text
from mcp_server.threads.checks import check_error
from mcp_server.threads.history import history_text, select_view
from mcp_server.threads.loaded import LoadedThread, RunningTurn
from mcp_server.threads.views import with_cut_texts

logger = logging.getLogger(__name__)

AppendItem = dict[str, Any]


class TurnWriter:
    """Appends to loaded threads. The verbs take the thread's lock; of `interrupt`, `write` and `write_rollout` the
    caller holds it."""

    def __init__(self, catalog: Catalog, now_ms: Callable[[], int]) -> None:
        self._catalog, self._loaded, self._now = catalog, catalog.loaded, now_ms

    # ------------------------------------------------------------------------------------------ verbs

    def start(self, reference: str, message: UserInput) -> TurnResult:
        """Open a turn with a user message. The thread's first message creates its rollout."""
        loaded = self._require_loaded(reference)
        with loaded.writing(), self._unit(loaded) as work:
            if loaded.turn is not None:
                raise TurnInProgress(loaded.thread.id, loaded.turn.id)
            check_message(message)
            now = self._now()
            turn_id = recording.new_id()
            builder = TurnBuilder(paginated=loaded.paginated, begin=ParserState(item=self._next_item(loaded)))
            turn = RunningTurn(turn_id, now, root_id=turn_id, builder=builder, calls=OpenCalls(loaded.open_calls))
            lines = [
                *recording.turn_started(turn_id, turn.root_id, now),
                *recording.turn_context(turn_id, loaded.settings, now),
                *recording.user_message(turn_id, message, now),
            ]
            written = self.write(work, loaded, lines, turn_id)
            loaded.turn, loaded.failed = turn, False
            items = turn.feed(written)
            loaded.thread = replace(
                loaded.thread,
                recency_at_ms=now,
                preview=loaded.thread.preview or recording.preview_of_input(message),
                recorded=plain(loaded.settings),
                last_turn=last_turn("inProgress", None, _answer_of(loaded)),
                turn_count=None if (count := loaded.thread.turn_count) is None else count + 1,
            )
            view = turn.view()
            events = [notices.status_changed(loaded), notices.turn_started(loaded.thread.id, view)]
            self._record(work, loaded, [*events, *self._items(loaded, turn_id, items)])
            lost = [f"{part['type']} {part['name']}" for part in message if part["type"] in recording.NOT_RECORDED]
            result = TurnResult(thread_id=loaded.thread.id, turn=with_cut_texts(view), not_recorded=lost or UNSET)
            return work.answer(result)

    def append(self, reference: str, items: Sequence[AppendItem]) -> AppendResult:
        """Add items to the running turn in one write: all of them or none."""
        loaded = self._require_loaded(reference)
        with loaded.writing(), self._unit(loaded) as work:
            turn = self._running(loaded)
            now = self._now()
            calls = turn.calls.with_items(items)
            lines = [line for item in items for line in self._lines_of(loaded, turn, item, now)]
            fed = turn.feed(self.write(work, loaded, lines, turn.id))
            turn.calls = calls
            loaded.thread = replace(
                loaded.thread, last_turn=last_turn("inProgress", None, turn.last_message or _answer_of(loaded))
            )
            self._record(work, loaded, self._items(loaded, turn.id, fed))
            item_ids = [item.id for item in fed]
            return work.answer(AppendResult(thread_id=loaded.thread.id, turn_id=turn.id, item_ids=item_ids))

    def complete(
        self,
        reference: str,
        status: Literal["completed", "interrupted", "failed"],
        message: str | None,
        error: str | None,
    ) -> TurnResult:
        """End the running turn."""
        loaded = self._require_loaded(reference)
        with loaded.writing(), self._unit(loaded) as work:
            turn = self._running(loaded)
            now = self._now()
            check_error(status, error)
            lines: list[RolloutLine] = []
            if message is not None:
                lines += recording.agent_message(turn.id, checked_text("message", message), now)
                turn.last_message = message
            lines += self._end_lines(turn, status, error, now)
            return work.answer(self._end(work, loaded, turn, lines, failed=status == "failed"))

    def interrupt(self, loaded: LoadedThread) -> None:
        """Record the running turn as interrupted."""
        turn = self._running(loaded)
        lines = recording.turn_interrupted(turn.id, turn.root_id, turn.started_at_ms, self._now())
        with self._unit(loaded) as work:
            self._end(work, loaded, turn, lines, failed=False)

    def copied_lines(
        self, rollouts: Rollouts, source: StoredThread, params: ForkParams, now_ms: int
    ) -> Generator[bytes]:
        """The lines that a fork copies from its source's history, as bytes, in batches.

        Raises:
            DamagedRollout: a rollout of the history is missing or can't be read.
            TurnNotFound: after the last batch, if the history lacks the turn that bounds the copy.
        """
        bounds = {"last_turn_id": params.last_turn_id, "before_turn_id": params.before_turn_id}
        copy = HistoryCopy(source.id, now_ms, **bounds, old=source.history_mode == BARE)
        text = history_text(rollouts, source, self._catalog.lookup.source, whole=True)

        def translated(batch: Sequence[RawLine]) -> bytes:
            lines = [made for raw in batch if (line := text.decode(raw)) is not None for made in copy.feed(line)]
            return b"".join(map(encode_line, lines))

        with closing(text.lines(strict=True)) as batches:
            for batch in batches:
                yield translated(batch)
                if copy.done:
                    break
        yield b"".join(map(encode_line, copy.close()))

    def write_rollout(self, work: UnitOfWork, loaded: LoadedThread) -> None:
        """Create the rollout with the pending lines, if it does not exist yet."""
        if not loaded.has_rollout:
            self.write(work, loaded, [])

    # ------------------------------------------------------------------------------------------ steps

    def _unit(self, loaded: LoadedThread) -> AbstractContextManager[UnitOfWork]:
        return self._catalog.unit_of_work(loaded.rollouts)

    def write(
        self, work: UnitOfWork, loaded: LoadedThread, lines: Sequence[RolloutLine], turn_id: str = ""
    ) -> Sequence[RolloutLine]:
        """Append lines to the rollout in one write. Creates it first, with the pending lines, if it does not exist yet.

        Returns the lines as written: those of a paginated history are numbered and in its own form.
        """
        if loaded.numbering is not None:
            lines = loaded.numbering.number(lines, turn_id, self._now())
        data = b"".join(encode_line(line) for line in lines)
        if loaded.has_rollout:
            written = work.append(rollout_of(loaded.thread), data)
        else:
            buffered = b"".join(encode_line(line) for line in loaded.pending)
            written = work.create(rollout_of(loaded.thread), buffered + data)
            loaded.has_rollout, loaded.pending = True, []
            loaded.name_unsaved = loaded.thread.name is not None and not loaded.ephemeral
        loaded.thread = with_rollout(loaded.thread, written)
        self._save_name(loaded)
        return lines

    def _save_name(self, loaded: LoadedThread) -> None:
        """Save the name of a thread that was named before it had a file. The message is already written, so after a
        failure the next write tries again."""
        if not loaded.name_unsaved or loaded.thread.name is None:
            return
        try:
            loaded.rollouts.set_name(loaded.thread.id, loaded.thread.name, self._now())
            loaded.name_unsaved = False
        except StoreFailure as error:
            logger.warning("Could not save the name of thread %s yet: %s", loaded.thread.id, error)

    def check_appendable(self, stored: StoredThread) -> None:
        """Check that the thread's file can be appended to. (A thread whose file was emptied or lost its metadata is
        still shown, from its row.)

        Raises:
            DamagedRollout: the file is missing, is a copy, or changed and is no longer a rollout.
        """
        current = self._catalog.rollouts.current(rollout_of(stored))
        if current is None:
            raise DamagedRollout.gone(stored.path)
        if current != rollout_of(stored):
            self._catalog.rollouts.describe(current)
        self._catalog.lookup.check_is_not_a_copy(stored)

    def decompressed(self, stored: StoredThread) -> StoredThread:
        """Decompress the thread's rollout if it is compressed, as Codex does. The caller holds the writer lock.

        Raises:
            DamagedRollout: the compressed file can't be read to its end.
        """
        plain = self._catalog.rollouts.decompress(rollout_of(stored))
        if plain == rollout_of(stored):
            return stored
        restored = replace(stored, **asdict(plain))
        self._catalog.record(Change(threads=(restored,)))
        return restored

    def refresh_metadata(self, loaded: LoadedThread) -> None:
        """Read the metadata of a new fork from its file, and save the name that it inherits."""
        written = loaded.rollouts.current(rollout_of(loaded.thread))
        if written is None:
            raise DamagedRollout.gone(loaded.thread.path)
        described = loaded.rollouts.describe(written).thread
        loaded.thread = replace(described, name=loaded.thread.name)
        loaded.name_unsaved = loaded.thread.name is not None and not loaded.ephemeral
        self._save_name(loaded)

    def _record(self, work: UnitOfWork, loaded: LoadedThread, events: Sequence[ThreadEvent]) -> None:
        """Record the row and the events of lines that were written."""
        work.record(Change(threads=() if loaded.ephemeral else (loaded.thread,), events=tuple(events)))

    def _end(
        self, work: UnitOfWork, loaded: LoadedThread, turn: RunningTurn, lines: Sequence[RolloutLine], *, failed: bool
    ) -> TurnResult:
        items = turn.feed(self.write(work, loaded, lines, turn.id))
        loaded.turn, loaded.failed, loaded.open_calls = None, failed, turn.calls.waiting
        loaded.next_item = turn.builder.next_item
        view = turn.view()
        error = view.error and view.error.message
        answer = turn.last_message or _answer_of(loaded)
        loaded.thread = replace(loaded.thread, last_turn=last_turn(view.status, error, answer))
        events = [*self._items(loaded, turn.id, items), notices.turn_completed(loaded.thread.id, view)]
        self._record(work, loaded, [*events, notices.status_changed(loaded)])
        return TurnResult(thread_id=loaded.thread.id, turn=with_cut_texts(select_view(view, "summary")))

    def _end_lines(self, turn: RunningTurn, status: str, error: str | None, now: int) -> list[RolloutLine]:
        if status == "interrupted":
            return recording.turn_interrupted(turn.id, turn.root_id, turn.started_at_ms, now)
        if status == "failed":
            return recording.turn_failed(
                turn.id, turn.root_id, turn.started_at_ms, checked_text("error", error or ""), now
            )
        return recording.turn_completed(turn.id, turn.root_id, turn.started_at_ms, turn.last_message, now)

    def _lines_of(self, loaded: LoadedThread, turn: RunningTurn, item: AppendItem, now: int) -> list[RolloutLine]:
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
                return recording.plan(turn.id, loaded.thread.id, checked_text("text", item["text"]), now)
            case "toolCall":
                return recording.tool_call(turn.id, item["call_id"], item["name"], item["arguments"], now)
            case _:
                output = checked_text("output", item["output"], blank=True)
                return recording.tool_output(turn.id, item["call_id"], output, item.get("success"), now)

    def _require_loaded(self, reference: str) -> LoadedThread:
        thread_id = self._catalog.resolve(reference)
        self._loaded.wait_until_free(thread_id)
        loaded = self._loaded.require(thread_id)
        self._loaded.touch(loaded.thread.id, self._loaded.elapsed_ms())
        return loaded

    def _running(self, loaded: LoadedThread) -> RunningTurn:
        if loaded.turn is None:
            raise NoTurnInProgress(loaded.thread.id)
        return loaded.turn

    def _next_item(self, loaded: LoadedThread) -> int:
        if loaded.next_item is None:
            loaded.next_item = 1
            if loaded.has_rollout:
                checkpoint = self._catalog.history(loaded.thread).checkpoint
                loaded.next_item, loaded.open_calls = checkpoint.next_item, frozenset(checkpoint.open_calls)
                loaded.thread = replace(loaded.thread, last_turn=checkpoint.last_turn, turn_count=checkpoint.turns)
                if loaded.paginated:
                    loaded.numbering = Numbering(loaded.thread.id, checkpoint.next_ordinal)
        return loaded.next_item

    def _items(self, loaded: LoadedThread, turn_id: str, items: Sequence[Item]) -> list[ThreadEvent]:
        return [notices.item_completed(loaded.thread.id, turn_id, item) for item in items]


def _answer_of(loaded: LoadedThread) -> str | None:
    """The last message of the agent before the running turn."""
    return loaded.thread.last_turn and loaded.thread.last_turn.answer


def check_history_mode(stored: StoredThread) -> None:
    """Check that threads of this history mode can be appended to.

    Raises:
        UnknownHistoryMode: they can't; a fork of the thread can.
    """
    if stored.history_mode not in ("legacy", "paginated"):
        raise UnknownHistoryMode(stored.id, stored.history_mode)


def check_message(message: UserInput) -> None:
    """Check that at least one part of a user message is recorded.

    Raises:
        InvalidArgument: the message holds only blank text or parts that a rollout can't record, or invalid Unicode.
    """
    texts = [checked_text("input", part["text"], blank=True) for part in message if part["type"] == "text"]
    if any(text.strip() for text in texts) or any(part["type"] in ("image", "localImage") for part in message):
        return
    if len(texts) < len(message):
        why = "a skill or a mention without text can't be recorded"
        raise InvalidArgument("input", message[0]["type"], why, "add a part of type text that names it")
    raise InvalidArgument("input", texts[0][:40] if texts else [], "the message is empty", "send some text")
