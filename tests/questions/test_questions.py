"""Questions as people ask them find the thread that they mean, among three thousand that share their words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from mcp_server.models.params import SearchParams, ThreadFilter
from mcp_server.models.results import SearchResult
from mcp_server.storage.sqlite.database import StateDb
from mcp_server.sync.lookup import HomeFiles, IndexedFiles
from mcp_server.sync.reconciler import sync
from mcp_server.threads.search.searcher import Searcher
from mcp_server.threads.turn_index import Indexer
from tests.by_night import nightly
from tests.questions.held_out import HELD_OUT
from tests.questions.home import QuestionHome
from tests.questions.topics import TOPICS, Topic
from tests.stores.test_full_text import size_of
from tests.worlds import World

THREADS = 3_000
FIRST = 5
LEAST = 0.92
SEEDS = (7, nightly(23))
MAX_SHARE = 0.65


@dataclass
class Asked:
    home: QuestionHome
    state: StateDb
    searcher: Searcher

    def search(self, question: str, topic: Topic, limit: int) -> SearchResult:
        return self.searcher.search(SearchParams(question, ThreadFilter(archived=topic.archived), limit=limit))


@pytest.fixture(scope="module", params=SEEDS, ids="seed {}".format)
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    path = tmp_path_factory.mktemp("questions")
    home = QuestionHome(path, (*TOPICS, *HELD_OUT), THREADS, request.param)
    state = StateDb.open(path / "threadstore.sqlite")
    sync(home.rollouts, state, quiet=True)
    state.apply_names(home.names, None)
    indexer = Indexer(home.rollouts, IndexedFiles(HomeFiles(home.rollouts), state))
    while indexer.step() or state.merge_texts():
        pass
    assert state.progress() == (THREADS, 0)
    yield Asked(home, state, World(home.rollouts, state).service().searcher)
    state.close()


@pytest.mark.parametrize("topics", [TOPICS, HELD_OUT], ids=["tuned on", "held out"])
def test_the_thread_that_is_meant_is_among_the_first_five(asked: Asked, topics: Sequence[Topic]) -> None:
    questions = [(question, topic) for topic in topics for question in topic.questions]
    assert len(questions) >= 40
    missed: list[str] = []
    for question, topic in questions:
        wanted = asked.home.ids[topic]
        found = [row.thread.id for row in asked.search(question, topic, limit=50).data]
        if wanted not in found[:FIRST]:
            place = found.index(wanted) + 1 if wanted in found else None
            missed.append(f"{question!r}: {f'at place {place}' if place else 'not found'}")
    share = 1 - len(missed) / len(questions)
    print(f"{share:.1%} of {len(questions)} questions; missed: {missed}")
    assert share >= LEAST, missed


def test_words_and_trigrams_of_short_threads_take_at_most_two_thirds_of_what_they_say(asked: Asked) -> None:
    indexes = ("said_text", "tool_text", "names_text", "said_words", "tool_words", "names_words", "first_words")
    shares = {name: round(size_of(asked.state, name) / asked.home.chars, 3) for name in indexes}
    print(f"{sum(shares.values()):.1%} of {asked.home.chars} characters: {shares}")
    assert sum(shares.values()) <= MAX_SHARE, shares
