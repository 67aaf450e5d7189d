"""Reading a thread's rollout, and what it borrows from others, into turns."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rollout_lines import META, agent, call, completed, ended, folded, ids, kinds, line, started, user

from mcp_server.codex.bounds import ReadingBounds
from mcp_server.codex.lines import RolloutLine, encode_line
from mcp_server.errors import DamagedRollout
from mcp_server.models.history_base import HistoryBase
from mcp_server.models.thread import FileStamp, StoredThread
from mcp_server.models.value import Json
from mcp_server.storage.memory.rollouts import MemoryRollouts
from mcp_server.threads.history import MAX_LINEAGE, select_view
from tests.histories import WholeHistory, read_history


class Bytes(MemoryRollouts):
    """Rollouts in memory, with any paths, that are read a few bytes at a time."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(bounds=ReadingBounds(batch_bytes=50))
        self._files = {path: (data, 0) for path, data in files.items()}


def written(*lines: RolloutLine) -> bytes:
    return b"".join(encode_line(each) for each in lines)


def stored(thread_id: str, *, base: HistoryBase | None = None, mode: str = "legacy") -> StoredThread:
    return StoredThread(
        id=thread_id,
        path=thread_id,
        stamp=FileStamp(0, 0),
        archived=False,
        created_at_ms=0,
        updated_at_ms=0,
        recency_at_ms=0,
        history_mode=mode,
        history_base=base,
    )


def known(*threads: StoredThread) -> Callable[[str], StoredThread | None]:
    def base_of(thread_id: str) -> StoredThread | None:
        return {thread.id: thread for thread in threads}.get(thread_id)

    return base_of


def read(
    files: dict[str, bytes], thread: StoredThread, *others: StoredThread, active: str | None = None
) -> WholeHistory:
    return read_history(Bytes(files), thread, known(*others), active_turn_id=active)


def test_a_stored_turn_without_an_end_is_interrupted_unless_it_is_the_active_one():
    files = {"t": written(META, started("a"), user("one"), started("b"), user("two"))}

    assert [turn.status for turn in (read(files, stored("t"))).turns] == ["interrupted", "interrupted"]
    assert [turn.status for turn in (read(files, stored("t"), active="b")).turns] == ["interrupted", "inProgress"]


def test_bad_lines_are_skipped_and_reported_where_they_lie():
    files = {"t": written(META) + b"{nonsense}\n\n" + written(user("one")) + b'{"type": 1}\n' + written(agent("re"))}
    history = read(files, stored("t"))

    assert ids(history.turns) == [["item-1", "item-2"]]
    assert [bad.path for bad in history.bad_lines] == ["t", "t"]
    assert [files["t"][bad.offset :].split(b"\n")[0] for bad in history.bad_lines] == [b"{nonsense}", b'{"type": 1}']
    assert all(bad.reason for bad in history.bad_lines)


def test_a_torn_tail_counts_if_it_can_be_read():
    whole = written(META, user("one"), agent("re"))
    history = read({"t": whole.removesuffix(b"\n")}, stored("t"))

    assert ids(history.turns) == [["item-1", "item-2"]]
    assert history.bad_lines == ()


def test_a_torn_tail_that_cannot_be_read_is_reported():
    whole = written(META, user("one"))
    history = read({"t": whole + b'{"type":"event'}, stored("t"))

    assert ids(history.turns) == [["item-1"]]
    (bad,) = history.bad_lines
    assert bad.offset == len(whole)
    assert "torn" in bad.reason


def test_the_number_of_the_next_item_follows_the_items_read():
    assert (read({"t": written(META, user("one"), agent("re"))}, stored("t"))).next_item == 3


def test_a_rollout_that_is_gone_is_an_error():
    with pytest.raises(DamagedRollout):
        read({}, stored("t"))


def paginated_turn(turn_id: str) -> list[RolloutLine]:
    item: Json = {"type": "UserMessage", "id": f"u-{turn_id}", "content": []}
    return [started(turn_id), completed(turn_id, item), ended(turn_id)]


def test_a_fork_begins_with_the_bytes_it_borrows_however_deep():
    meta = line("session_meta", id="x", history_mode="paginated")
    root, middle, fork = (written(meta, *paginated_turn(name)) for name in ("a", "c", "d"))
    files = {
        "root": root + written(*paginated_turn("b")),
        "middle": middle + written(*paginated_turn("?")),
        "fork": fork,
    }
    threads = [
        stored("root", mode="paginated"),
        stored("middle", mode="paginated", base=HistoryBase("root", end_byte_offset=len(root))),
    ]
    thread = stored("fork", mode="paginated", base=HistoryBase("middle", end_byte_offset=len(middle)))
    history = read(files, thread, *threads)

    assert ids(history.turns) == [["u-a"], ["u-c"], ["u-d"]]
    assert history.bad_lines == ()


def test_a_fork_whose_base_is_missing_still_shows_its_own_turns():
    files = {"fork": written(META, user("one"))}
    history = read(files, stored("fork", base=HistoryBase("gone", end_byte_offset=9)))

    assert ids(history.turns) == [["item-1"]]
    (bad,) = history.bad_lines
    assert "gone is missing" in bad.reason


def test_a_base_whose_rollout_cannot_be_read_is_reported():
    files = {"fork": written(META, user("one"))}
    history = read(files, stored("fork", base=HistoryBase("base", end_byte_offset=9)), stored("base"))

    assert ids(history.turns) == [["item-1"]]
    assert [(bad.path, bad.reason) for bad in history.bad_lines] == [("base", "is gone")]


def test_a_base_that_cannot_be_looked_up_is_reported_and_the_rest_is_read():
    def broken(rollout_id: str) -> None:
        raise DamagedRollout(f"{rollout_id}.jsonl", "cannot be read")

    store = Bytes({"fork": written(META, user("one"))})
    history = read_history(store, stored("fork", base=HistoryBase("base", end_byte_offset=9)), broken)

    assert ids(history.turns) == [["item-1"]]
    assert [(bad.path, bad.reason) for bad in history.bad_lines] == [("base.jsonl", "cannot be read")]


def test_a_lineage_in_a_circle_is_walked_once():
    one, two = (stored(name, base=HistoryBase(other, end_byte_offset=99_999)) for name, other in ("ab", "ba"))
    files = {"a": written(META, user("one")), "b": written(META, user("two"))}
    history = read(files, one, one, two)

    assert ids(history.turns) == [["item-1"], ["item-2"]]
    (bad,) = history.bad_lines
    assert "circle" in bad.reason


def test_a_lineage_has_a_bound():
    length = MAX_LINEAGE + 5
    threads = [stored(f"t{n}", base=HistoryBase(f"t{n + 1}", end_byte_offset=9_999)) for n in range(length)]
    history = read({thread.id: written(META, user("hi")) for thread in threads}, threads[0], *threads)

    assert len(history.turns) == MAX_LINEAGE
    (bad,) = history.bad_lines
    assert "too long" in bad.reason


# ---------------------------------------------------------------------------------------------- views


def test_a_summary_has_the_first_user_and_the_last_agent_message():
    (turn,) = folded(started("a"), user("one"), agent("first"), user("steer"), agent("last"), ended("a"))
    summary = select_view(turn, "summary")

    assert [item.id for item in summary.items] == ["item-1", "item-4"]
    assert summary.items_view == "summary"


def test_a_summary_of_a_turn_without_an_answer_has_the_question():
    (turn,) = folded(started("a"), user("one"), call("c"))

    assert kinds(select_view(turn, "summary")) == ["userMessage"]


def test_a_turn_can_be_shown_without_items_or_whole():
    (turn,) = folded(started("a"), user("one"), agent("re"))

    assert (select_view(turn, "notLoaded").items, select_view(turn, "notLoaded").items_view) == ([], "notLoaded")
    assert select_view(turn, "full") == turn
