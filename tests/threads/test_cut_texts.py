"""Windows into long texts, and pages that fit one answer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mcp_server.codex.texts import all_texts
from mcp_server.models.turn import Item, Turn
from mcp_server.threads.views import ANSWER_CHARS, cut_texts, fit_answer


def message(text: str, number: int = 1) -> Item:
    return Item(type="agentMessage", id=f"item-{number}", text=text)


@given(text=st.text(max_size=50), offset=st.integers(0, 60), size=st.integers(1, 60))
def test_a_window_of_a_text_shows_its_part_and_the_full_length(text: str, offset: int, size: int) -> None:
    shown, truncated = cut_texts(message(text), offset, size)
    whole = len(text) <= size
    assert shown["text"] == (text if whole else text[offset : offset + size])
    assert truncated == ({} if whole else {"text": len(text)})


def test_a_negative_offset_counts_from_the_end_and_no_further_than_the_beginning() -> None:
    assert cut_texts(message("a log, then the last error"), -10, 12)[0]["text"] == "last error"
    assert cut_texts(message("a log, then the last error"), -10, 4)[0]["text"] == "last"
    assert cut_texts(message("a log, then the last error"), -99, 5)[0]["text"] == "a log"


def test_a_nested_text_is_cut_in_its_place() -> None:
    item = Item(type="userMessage", id="i", content=[{"type": "text", "text": "long text"}, {"text": "ok"}])
    shown, truncated = cut_texts(item, 0, 4)
    assert shown["content"] == [{"type": "text", "text": "long"}, {"text": "ok"}]
    assert truncated == {"content.0.text": 9}


def test_ids_and_types_are_never_cut() -> None:
    item = Item(type="agentMessage", id="a-long-identifier", text="x" * 100)
    shown, truncated = cut_texts(item, 0, 4)
    assert (shown.id, shown.type, truncated) == ("a-long-identifier", "agentMessage", {"text": 100})


@given(sizes=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30_000)), max_size=30))
def test_whatever_the_turns_are_a_page_of_them_fits_one_answer(sizes: list[tuple[int, int]]) -> None:
    turns = [
        Turn(id=str(n), status="completed", items=[message("x" * length, i) for i in range(count)])
        for n, (count, length) in enumerate(sizes)
    ]
    shown = fit_answer(turns)
    assert [turn.id for turn in shown] == [turn.id for turn in turns]
    assert sum(len(text) for turn in shown for item in turn.items for text in all_texts(item.fields)) <= ANSWER_CHARS


def test_short_turns_are_shown_whole() -> None:
    turns = [Turn(id="t", status="completed", items=[message("short", n) for n in range(100)])]
    assert fit_answer(turns) == turns
