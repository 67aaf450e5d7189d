"""What every home answers when words are looked for: the texts and names that hold them, in any of their forms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_server.models.records import Change
from mcp_server.models.words import is_word, words_of
from mcp_server.storage.contracts import StateStore
from mcp_server.storage.query import TextQuery, ThreadQuery, WordForms, WordQuery
from tests.contract.homes import Home
from tests.contract.test_texts import ALL, hold, pieces
from tests.contract.test_turns import thread, update_of

Held = dict[tuple[str, int], tuple[int | None, ...]]


def held(state: StateStore, *words: WordForms, threads: ThreadQuery = ALL, **changes: Any) -> Held:
    """For each text that holds some word, by thread and number, the forms in which it does."""
    found = state.find_words(WordQuery(words, threads, **changes))
    hits = {hit.number: hit for hit in found.hits if hit.number is not None}
    places = state.places(TextQuery((), ALL, numbers=list(hits)))
    assert {place.number: place.thread.id for place in places} == {n: hit.thread_id for n, hit in hits.items()}
    return {(place.thread.id, place.start // 100): hits[place.number].forms for place in places}


def test_a_word_is_found_in_any_case_and_without_its_accents_and_not_as_a_part(state: StateStore) -> None:
    hold(state, "The Quick brown fox", "quickly, résumé", "def fox_jump(): ÉCOLE", "trace")
    assert held(state, ("quick",)) == {("a", 0): (0,)}
    assert held(state, ("fox",)) == {("a", 0): (0,), ("a", 2): (0,)}
    assert held(state, ("resume",)) == {("a", 1): (0,)}
    assert held(state, ("ecole",)) == {("a", 2): (0,)}
    assert held(state, ("race",)) == {}


def test_each_text_tells_the_best_form_that_it_holds(state: StateStore) -> None:
    hold(state, "refresh", "refreshing", "refreshed and refresh", "fresh")
    assert held(state, ("refresh", "refresh*")) == {("a", 0): (0,), ("a", 1): (1,), ("a", 2): (0,)}


def test_texts_that_hold_some_of_several_words_are_told_of_with_which(state: StateStore) -> None:
    hold(state, "one", "two", "one two", "three")
    assert held(state, ("one",), ("two",)) == {("a", 0): (0, None), ("a", 1): (None, 0), ("a", 2): (0, 0)}


def test_names_and_first_messages_are_told_apart_from_texts(state: StateStore) -> None:
    hold(state, "nothing", name="Café one", preview="two")
    found = state.find_words(WordQuery((("cafe",), ("two",)), ALL))
    assert {(hit.number, hit.forms) for hit in found.hits if not hit.first} == {(None, (0, None))}
    state.apply_names({"a": "renamed"}, None)
    assert state.find_words(WordQuery((("cafe",),), ALL)).hits == ()
    (hit,) = state.find_words(WordQuery((("renamed",),), ALL)).hits
    assert (hit.thread_id, hit.number) == ("a", None)


def test_the_first_message_of_a_thread_with_the_word_is_told_of(state: StateStore) -> None:
    hold(state, "checkout is slow", preview="checkout is slow")
    hold(state, "slow", key="b", preview="another")
    hits = state.find_words(WordQuery((("slow",),), ALL)).hits
    assert {hit.thread_id for hit in hits if hit.first} == {"a"}
    assert {hit.thread_id for hit in hits if hit.number is not None} == {"a", "b"}


def test_what_tools_said_is_told_of_on_request(state: StateStore) -> None:
    state.commit(Change(threads=(thread("a"),)))
    state.update([update_of("a", (), *pieces("said words"), pieces("", "tool words", tools=True)[1])])
    assert held(state, ("words",)) == {("a", 0): (0,)}
    assert held(state, ("words",), tools=True) == {("a", 0): (0,), ("a", 1): (0,)}


def test_filters_and_a_single_thread_bound_what_is_told(state: StateStore) -> None:
    for key in ("a", "b", "c"):
        hold(state, "words", "other words", key=key, archived=key == "c", cwd=f"/{key}", name="words")
    active = replace(ALL, archived=False)
    assert {key for key, _ in held(state, ("words",), threads=active)} == {"a", "b"}
    assert {key for key, _ in held(state, ("words",), threads=replace(active, cwds=["/b"]))} == {"b"}
    assert held(state, ("words",), thread_id="c") == {("c", 0): (0,), ("c", 1): (0,)}
    assert held(state, ("words",), thread_id="missing") == {}
    named = state.find_words(WordQuery((("words",),), active)).hits
    assert {hit.thread_id for hit in named if hit.number is None} == {"a", "b"}


def test_a_share_tells_which_part_of_all_texts_holds_a_word(state: StateStore) -> None:
    hold(state, *("common",) * 9, "rare common")
    common, rare, none = state.find_words(WordQuery((("common",), ("rare",), ("none",)), ALL)).shares
    assert (common, rare, none) == pytest.approx((1.0, 0.1, 0.0))


def test_texts_that_are_gone_are_not_told_of(state: StateStore) -> None:
    hold(state, "old words")
    hold(state, "new words")
    assert held(state, ("old",)) == {}
    assert held(state, ("new",)) == {("a", 0): (0,)}
    state.commit(Change(forgotten=("a",)))
    assert held(state, ("new",)) == {}


def test_words_that_are_written_much_alike_are_known(state: StateStore) -> None:
    hold(state, "reconciliation of reports", name="Recorder")
    assert {"reconciliation", "recorder"} <= set(state.words_like("reconcilation"))
    assert state.words_like("zzz") == []


def test_a_word_in_more_texts_than_are_looked_at_is_found_beside_a_rare_one(
    state: StateStore,
) -> None:
    hold(state, "rare", "common", key="old", cwd="/old")
    for n in range(30):
        hold(state, "common and more", key=f"new{n:02}")
    few: dict[str, Any] = {"newest": 10, "mapped": 20}
    both = held(state, ("rare",), ("common",), **few)
    assert (both["old", 0], both["old", 1]) == ((0, None), (None, 0))
    assert set(held(state, ("common",), threads=replace(ALL, cwds=["/old"]), **few)) == {("old", 1)}
    assert state.find_words(WordQuery((("rare",), ("common",)), ALL, **few)).whole


def test_threads_with_all_words_are_said_to_be_left_out_where_each_word_is_too_common(
    home: Home,
) -> None:
    if not home.indexes_texts:
        pytest.skip("this home looks at every text")
    for n in range(30):
        hold(home.state, "common and more", key=f"new{n:02}", cwd=f"/{n}")
    common = ("common",), ("more",)
    assert not home.state.find_words(WordQuery(common, ALL, newest=10, mapped=20)).whole
    found = home.state.find_words(WordQuery(common, replace(ALL, cwds=["/3"]), newest=10, mapped=20))
    assert (found.whole, {hit.thread_id for hit in found.hits}) == (True, {"new03"})


WORDS = st.text(st.characters(categories=["L", "N", "Mn", "P", "Zs"]), max_size=12)


@given(st.lists(st.lists(WORDS, max_size=4).map(" ".join), min_size=1, max_size=4), st.data())
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_every_word_of_every_text_is_found_and_so_is_its_beginning(
    state: StateStore, texts: list[str], data: st.DataObject
) -> None:
    hold(state, *texts)
    number = data.draw(st.integers(0, len(texts) - 1))
    words = [word for word in words_of(texts[number]) if is_word(word)]
    if words:
        word = data.draw(st.sampled_from(words))
        begins = f"{word[: data.draw(st.integers(1, len(word)))]}*"
        assert held(state, (word,))["a", number] == (0,)
        if is_word(begins[:-1]):
            assert held(state, (begins,))["a", number] == (0,)
