"""What every home answers when texts are looked for: places and names that may hold what was asked for, none of
those that do left out."""

from __future__ import annotations

import sys
import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_server.models.case import spellings
from mcp_server.models.history import TextChunk
from mcp_server.models.records import Change, SpawnEdge
from mcp_server.models.thread import FileStamp, StoredThread
from mcp_server.storage.contracts import StateStore
from mcp_server.storage.query import TextQuery, ThreadQuery
from tests.contract.homes import Home
from tests.contract.test_turns import checkpoint, thread, update_of

NO_INDEX = "this home offers every text, and has no index that older ones are added to"

ALL = ThreadQuery(archived=None, with_preview=None)


def pieces(*texts: str, tools: bool = False) -> list[TextChunk]:
    """One turn's texts: its n-th lies at byte 100 * n."""
    return [TextChunk(50, 100 * n, 100 * n + 90, text, tools) for n, text in enumerate(texts)]


def hold(state: StateStore, *texts: str, key: str = "a", **changes: Any) -> None:
    state.commit(Change(threads=(thread(key, **changes),)))
    state.update([update_of(key, (), *pieces(*texts))])


def found(state: StateStore, *literals: str, **changes: Any) -> list[tuple[str, int]]:
    """Thread and number of each place."""
    query = TextQuery(literals, changes.pop("threads", ALL), **changes)
    return [(place.thread.id, place.start // 100) for place in state.places(query)]


# ---------------------------------------------------------------------------------------------- literals

TEXTS = (
    "The quick brown fox",
    "def fox_jump(self): return session.py:88",
    "编译器的错误信息在这里",
    'she said "quote" and left',
    "behind\0a nul",
    "SHOUTED WORDS, x",
    "ab",
    "é\u0301 ß İstanbul ŒUVRE",
)
HELD = {
    "a word": ("quick", 0),
    "in another case": ("QUICK", 0),
    "a part across a blank": ("k br", 0),
    "code": ("session.py:88", 1),
    "a part of code": (".py:8", 1),
    "one character of Chinese": ("器", 2),
    "two characters of Chinese": ("错误", 2),
    "the last two characters": ("这里", 2),
    "the last character": ("里", 2),
    "a quotation mark": ('"', 3),
    "a quoted word": ('"quote"', 3),
    "what stands behind a NUL": ("a nul", 4),
    "a NUL": ("\0", 4),
    "a NUL between": ("d\0a", 4),
    "shouted": ("shouted words", 5),
    "the last letter": ("x", 5),
    "a whole text of two": ("AB", 6),
    "a letter that folds to two": ("ß", 7),
    "a dotted I": ("istanbul", 7),
    "a ligature": ("œuvre", 7),
}


@pytest.mark.parametrize(("literal", "number"), HELD.values(), ids=HELD)
def test_a_text_that_holds_a_literal_is_offered(state: StateStore, literal: str, number: int) -> None:
    hold(state, *TEXTS)
    assert ("a", number) in found(state, literal)


def test_what_no_text_holds_is_not_offered_where_texts_are_indexed(home: Home) -> None:
    if not home.indexes_texts:
        pytest.skip(NO_INDEX)
    state = home.state
    hold(state, *TEXTS)
    assert found(state, "absent") == found(state, "quick", "shouted") == found(state, "Ж") == []
    assert found(state, "quick", "fox", "own") == [("a", 0)]


def test_a_literal_that_nearly_every_text_holds_is_found_in_each(state: StateStore) -> None:
    """More runs of three begin with it than are asked for."""
    many = [f"z{chr(0x4E00 + n)}{chr(0x5E00 + n)}" for n in range(400)]
    hold(state, *many)
    assert found(state, "z", limit=999) == found(state, "Z", limit=999)
    assert [number for _, number in found(state, "z", limit=999)] == [*range(399, -1, -1)]
    assert ("a", 300) in found(state, "z", many[300][1:], limit=999)
    assert len(found(state, "z", before=None, limit=7)) == 7


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
NEAR = st.text(
    "aAb\xdf\u017fsS\u212aKkiI\u0130\u0131\u03c3\u03c2\u03a3\0 \"'*\ufb01中文的\u0390\u1fd3\u13a0\uab70",
    min_size=1,
    max_size=12,
)


def swapped(data: st.DataObject, part: str) -> str:
    """The part in any spelling that `re.IGNORECASE` takes for it."""
    return "".join(data.draw(st.sampled_from([char, *spellings(char)])) for char in part)


@given(st.data(), st.lists(ANY_TEXT | NEAR, min_size=1, max_size=4))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_part_of_any_text_is_found_in_any_case(state: StateStore, data: st.DataObject, texts: list[str]) -> None:
    number = data.draw(st.integers(0, len(texts) - 1))
    text = texts[number]
    start = data.draw(st.integers(0, max(0, len(text) - 1)))
    part = swapped(data, text[start : data.draw(st.integers(start + 1, max(start + 1, len(text))))])
    if not part:
        return

    hold(state, *texts)
    assert ("a", number) in found(state, part)


@given(st.data(), (ANY_TEXT | NEAR).filter(lambda name: "\0" not in name and bool(name)))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_part_of_any_name_is_found_in_any_case(state: StateStore, data: st.DataObject, name: str) -> None:
    start = data.draw(st.integers(0, len(name) - 1))
    part = swapped(data, name[start : data.draw(st.integers(start + 1, len(name)))])

    hold(state, name=name)
    assert [row.id for row in state.named([part], ALL, 9)] == ["a"]


def test_every_spelling_of_every_letter_is_found_in_texts_and_in_names(home: Home) -> None:
    """SQLite's trigrams fold fewer letters than Python does."""
    if not (home.indexes_texts and home.takes_many_calls):
        pytest.skip("this home offers every text, or takes too long over two thousand letters")
    state = home.state
    cased = [c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c) in ("Lu", "Lt")]
    rows = [thread(f"{n:04}", name=f"-{char}-") for n, char in enumerate(cased)]
    state.commit(Change(threads=tuple(rows)))
    state.update([update_of(row.id, (), TextChunk(0, 0, 9, row.name or "")) for row in rows])
    missed: list[str] = []
    for row, char in zip(rows, cased, strict=True):
        for other in spellings(char):
            texts = state.places(TextQuery((f"-{other}-",), ALL, thread_id=row.id))
            names = state.named([f"-{other}-"], ALL, 9)
            if len(texts) != 1 or row.id not in {one.id for one in names}:
                missed.append(other)
    assert missed == []


# ---------------------------------------------------------------------------------------------- order and bounds


def test_newer_texts_come_first_and_below_all_what_was_there_before_the_index(home: Home) -> None:
    if not home.indexes_texts:
        pytest.skip(NO_INDEX)
    state = home.state
    now = FileStamp(1_000, 2**62)
    state.commit(Change(threads=tuple(thread(key) for key in ("old", "older", "oldest", "new", "newest"))))

    def read(*keys: str, stamp: FileStamp) -> None:
        steps = [
            update_of(key, (), *pieces(f"words of {key}"), checkpoint=checkpoint(key, version=stamp)) for key in keys
        ]
        assert state.update(steps) == [True] * len(keys)

    long_ago = FileStamp(1_000, 1)
    read("old", "older", stamp=long_ago)  # as the background reads them: the last changed first
    read("new", stamp=now)
    read("oldest", stamp=long_ago)
    read("newest", stamp=now)
    order = ["newest", "new", "old", "older", "oldest"]
    assert [key for key, _ in found(state, "words")] == order


def test_pages_are_cut_by_the_place_that_the_last_one_ended_at(state: StateStore) -> None:
    hold(state, *(f"words {n}" for n in range(7)))
    seen: list[int] = []
    before: int | None = None
    while page := state.places(TextQuery(("words",), ALL, before=before, limit=3)):
        assert len(page) <= 3
        seen += [place.start // 100 for place in page]
        before = page[-1].number
    assert seen == [6, 5, 4, 3, 2, 1, 0]
    assert found(state, "words", before=-(2**70)) == []
    assert len(found(state, "words", before=2**70)) == 7


def test_texts_of_tools_are_offered_on_request_among_the_rest(state: StateStore) -> None:
    state.commit(Change(threads=(thread("a"),)))
    said, tool = pieces("said words"), pieces("", "tool words", tools=True)[1]
    state.update([update_of("a", (), *said, tool)])
    assert found(state, "words") == [("a", 0)]
    assert found(state, "words", tools=True) == [("a", 1), ("a", 0)]
    assert ("a", 1) in found(state, "tool", tools=True)


FILTERS: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "archived": ({"archived": True}, {"archived": False}, False),
    "archived alone": ({"archived": True}, {"archived": True}, True),
    "without preview": ({"preview": ""}, {"with_preview": True}, False),
    "a kind": ({"source": "cli"}, {"source_kinds": ["exec"]}, False),
    "a kind among others": ({"source": "exec"}, {"source_kinds": ["cli", "exec"]}, True),
    "no kind": ({"source": "cli"}, {"source_kinds": []}, False),
    "a provider": ({"model_provider": "x"}, {"model_providers": ["x"]}, True),
    "another provider": ({"model_provider": "x"}, {"model_providers": ["y"]}, False),
    "a cwd": ({"cwd": "/w/"}, {"cwds": ["/w"]}, True),
    "a cwd below": ({"cwd": "/w/b"}, {"cwds": ["/w"]}, True),
    "a cwd beside": ({"cwd": "/wb"}, {"cwds": ["/w"]}, False),
    "since": ({"updated_at_ms": 50}, {"since_ms": 50}, True),
    "too early": ({"updated_at_ms": 49}, {"since_ms": 50}, False),
    "until": ({"updated_at_ms": 50}, {"until_ms": 50}, True),
    "too late": ({"updated_at_ms": 51}, {"until_ms": 50}, False),
    "any time": ({}, {"since_ms": -(2**70), "until_ms": 2**70}, True),
}


@pytest.mark.parametrize(("row", "asked", "passes"), FILTERS.values(), ids=FILTERS)
def test_places_and_names_are_those_of_the_threads_that_are_asked_for(
    state: StateStore, row: dict[str, Any], asked: dict[str, Any], passes: bool
) -> None:
    hold(state, "some words", name="named so", **row)
    filters: dict[str, Any] = {"archived": None, "with_preview": None, **asked}
    threads = ThreadQuery(**filters)
    assert found(state, "words", threads=threads) == ([("a", 0)] if passes else [])
    assert [one.id for one in state.named(["named"], threads, 9)] == (["a"] if passes else [])


def test_a_tree_bounds_the_search_and_so_does_one_thread(state: StateStore) -> None:
    for key in ("root", "mid", "leaf", "other"):
        hold(state, "words", "words", key=key)
    state.commit(Change(edges=(SpawnEdge("root", "mid"), SpawnEdge("mid", "leaf", "closed"))))
    below = found(state, "words", threads=replace(ALL, ancestor_id="root"))
    assert {key for key, _ in below} == {"mid", "leaf"}
    assert {key for key, _ in found(state, "words", threads=replace(ALL, parent_id="root"))} == {"mid"}
    assert found(state, "words", thread_id="mid") == [("mid", 1), ("mid", 0)]
    assert found(state, "wo", thread_id="mid") == [("mid", 1), ("mid", 0)]
    assert found(state, "words", thread_id="missing") == []


# ---------------------------------------------------------------------------------------------- names


def named(state: StateStore, *literals: str, limit: int = 9) -> list[str]:
    return [row.id for row in state.named(literals, ALL, limit)]


def test_names_are_found_by_all_their_parts_the_last_changed_first(state: StateStore) -> None:
    names = {"old": "Fix the parser", "new": "the PARSER again", "cjk": "编译器", "none": None, "quote": 'a "b" c'}
    rows: list[StoredThread] = [thread(key, name=name, updated_at_ms=n) for n, (key, name) in enumerate(names.items())]
    state.commit(Change(threads=tuple(rows)))
    assert named(state, "parser") == ["new", "old"]
    assert named(state, "parser", limit=1) == ["new"]
    assert named(state, "parser", "Fix") == ["old"]
    assert named(state, "译器") == named(state, "器") == ["cjk"]
    assert named(state, '"b"') == named(state, '"') == ["quote"]
    assert named(state, "absent") == []


def test_a_name_is_found_as_it_is_now(state: StateStore) -> None:
    state.commit(Change(threads=(thread("a", name="before"), thread("b"))))
    state.apply_names({"a": "after", "b": "later"}, None)
    assert (named(state, "before"), named(state, "after"), named(state, "later")) == (
        [],
        ["a"],
        ["b"],
    )
    for longer in ("after all", "after all of it", "all of it after"):  # what both names hold is still found
        state.apply_names({"a": longer}, None)
        assert named(state, "after") == named(state, longer) == ["a"]
    state.apply_names({}, None)
    state.commit(Change(threads=(thread("c", name="gone"),)))
    state.commit(Change(forgotten=("c",)))
    assert (named(state, "after"), named(state, "gone")) == ([], [])
