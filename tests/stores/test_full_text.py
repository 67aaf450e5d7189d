"""The full text of SQLite, beside what the contract says of texts."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from mcp_server.models.history import TextChunk
from mcp_server.models.records import Change
from mcp_server.storage.sqlite.database import StateDb
from mcp_server.threads.turn_index import BATCH
from tests.contract.test_texts import ALL, found, hold
from tests.contract.test_turns import thread, update_of

MAX_SHARE = 0.65
_SOURCES = Path(__file__).parents[2]
_CHARS = 4_000


def test_an_index_that_was_begun_anew_often_is_sound_and_finds_what_is_there_now(tmp_path: Path) -> None:
    """Texts that are gone leave their runs of three behind, under numbers that others take."""
    with closing(StateDb.open(tmp_path / "db")) as state:
        hold(state, "of another thread", key="b")
        for n in range(60):
            hold(state, *(f"round{n} text{m} {'word ' * 40}" for m in range(20)))
        assert found(state, "round59 text7") == [("a", 7)]
        assert found(state, "round58 text7") == []
        assert found(state, "another thread") == [("b", 0)]
        with state.transaction() as session:
            session.exec_driver_sql("INSERT INTO said_text (said_text) VALUES ('integrity-check')")


def test_indexes_that_are_merged_are_smaller_find_the_same_and_stay_so_until_the_texts_have_doubled(
    tmp_path: Path,
) -> None:
    with closing(StateDb.open(tmp_path / "db")) as state:
        hold(state, "a few texts are not worth it", key="few")
        assert not state.merge_texts()
        for n in range(60):
            hold(state, *(f"word{n} text{m} of many" for m in range(20)), key=f"{n}")
        before = size_of(state, "said_text", "said_words")
        while state.merge_texts():
            pass
        assert size_of(state, "said_text", "said_words") < 0.9 * before
        assert found(state, "ord59", "ext19") == [("59", 19)]
        assert not state.merge_texts()
        for n in range(60, 125):
            hold(state, *(f"word{n} text{m} of many" for m in range(20)), key=f"{n}")
        assert state.merge_texts()
        assert found(state, "ord59", "ext19") == [("59", 19)]


def test_a_part_of_a_word_that_many_texts_hold_is_found_in_the_few_that_a_filter_lets_through(tmp_path: Path) -> None:
    with closing(StateDb.open(tmp_path / "db")) as state:
        hold(state, "the common one", "another", key="old", cwd="/old")
        for n in range(60):
            hold(state, *("common words",) * 20, key=f"{n}")
        assert found(state, "ommo", threads=replace(ALL, cwds=["/old"])) == [("old", 0)]
        assert found(state, "ommo", threads=replace(ALL, cwds=["/nowhere"])) == []


def size_of(state: StateDb, *indexes: str) -> int:
    with state.transaction() as connection:
        sizes = (connection.exec_driver_sql(f"SELECT sum(length(block)) FROM {name}_data") for name in indexes)
        return sum(size.scalar_one() for size in sizes)


def test_the_indexes_of_words_and_of_trigrams_take_at_most_two_thirds_of_the_text(tmp_path: Path) -> None:
    """The text is this project's own: prose and code, as agents write both."""
    sources = [path.read_text("utf-8") for path in sorted(_SOURCES.glob("*/**/*.py")) if ".venv" not in path.parts]
    text = "\n".join([(_SOURCES / "README.md").read_text("utf-8"), *sources])
    said = [text[start : start + _CHARS] for start in range(0, len(text), _CHARS)]
    with closing(StateDb.open(tmp_path / "db")) as state:
        state.commit(Change(threads=tuple(thread(f"{number}") for number in range(len(said)))))
        updates = [update_of(f"{number}", (), TextChunk(0, 0, 9, one)) for number, one in enumerate(said)]
        for first in range(0, len(updates), BATCH):  # as they are indexed in the background
            state.update(updates[first : first + BATCH])
        while state.merge_texts():
            pass
        sizes = {name: size_of(state, name) / len(text) for name in ("said_text", "said_words")}
    assert sum(sizes.values()) <= MAX_SHARE, sizes
    assert sizes["said_words"] <= 0.26
