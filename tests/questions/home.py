"""A home of some thousand threads as a developer has after a year: most have nothing to do with a question, and yet
share words with it. The same for the same seed."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mcp_server.codex import writer
from mcp_server.codex.lines import RolloutLine, encode_line
from mcp_server.errors import StoreFailure
from mcp_server.models.words import stem_of, words_of
from mcp_server.storage.files.rollouts import RolloutFiles
from tests.questions.topics import Topic

_BEGIN, _EVERY = datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC), timedelta(minutes=173)
_MINUTE_MS = 60_000


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_PARTS = _words(
    "auth checkout cache search index migration deploy pipeline webhook invoice ledger refund session token "
    "worker queue report upload parser editor api database test suite docker image kubernetes redis postgres "
    "kafka graphql websocket nginx terraform bucket email password login onboarding calendar notification "
    "export import price order customer tenant event log metric dashboard form address feature flag theme "
    "linter compiler build release branch commit review schema query cursor pagination timezone currency "
    "payment tax cart product reconciliation thumbnail android ios safari playwright eslint python node rust "
    "oauth cookie retry timeout rate limit lock transaction"
)
_TROUBLES = _words(
    "slow flaky broken stuck pending duplicate wrong missing stale leaking laggy expired rejected empty "
    "truncated unreadable racy deadlocked hanging crashing growing noisy confusing outdated untested insecure "
    "expensive"
)
_DEEDS = _words(
    "refactor rename document test split merge simplify cache batch retry log validate rewrite remove extract "
    "inline move mock benchmark profile upgrade pin revert lint type shard debounce stream index sign rotate "
    "migrate import"
)
_ASKED = (
    "please {deed} the {a} {b} code",
    "why is the {a} {trouble} after the last {b} change",
    "the {a} looks {trouble}, can you look at the {b}",
    "add a {b} to the {a} and {deed} what is there",
    "write tests for the {a} {b}, they are {trouble}",
    "how does the {a} talk to the {b}",
    "can we {deed} the {a} without touching the {b}",
    "explain the {trouble} {a} in the {b} module",
)
_ANSWERED = (
    "I looked at the {a}: the {b} was {trouble}, so I had to {deed} it.",
    "The {a} calls the {b} in a loop. I can {deed} that, but the {c} depends on it.",
    "Done: the {a} has a {b} of its own now, and the tests for the {c} pass.",
    "There are two ways to {deed} the {a}; the first is {trouble} where the {b} changes.",
    "I left the {a} as it is, since the {c} and the {b} share it.",
    "The {b} is {trouble} because of the {a}; see the {c} module.",
    "I ran the tests of the {a}, all green. The {c} takes a while in CI.",
    "Next: {deed} the {b}, then look at what the {c} does twice.",
)
_OUTPUTS = (
    "$ git status\nOn branch {a}-{b}\nnothing to commit",
    "FAILED tests/test_{a}.py::test_{b}_{deed} - AssertionError: {trouble}",
    "error: {a} {b}: exit status 1\nwhile linking {c}",
    "INFO {a}: {deed} {b} took 12 ms\nWARN {c} is {trouble}",
)
_NAMES = ("{a} {b}", "{deed} {a}", "{trouble} {a}", "{a}")


class QuestionHome:
    """The threads that were written, by topic."""

    def __init__(
        self,
        path: Path,
        topics: Sequence[Topic],
        threads: int,
        seed: int,
        *,
        begin: datetime = _BEGIN,
        every: timedelta = _EVERY,
    ) -> None:
        self.rollouts = RolloutFiles(path)
        self.names: dict[str, str] = {}
        self.chars = 0
        """Of all that is searched: names, messages, what tools were asked and said."""
        self._rng, self._begin, self._every = random.Random(seed), begin, every
        self._topics = [_telling(topic) for topic in topics]
        places = dict(zip(self._rng.sample(range(threads), len(topics)), topics, strict=True))
        self.ids: dict[Topic, str] = {}
        for number in range(threads):
            topic = places.get(number)
            thread_id = self._write(number, self._distraction() if topic is None else topic)
            if topic is not None:
                self.ids[topic] = thread_id

    def _distraction(self) -> Topic:
        """A thread about something else."""
        rng = self._rng
        while True:
            about = rng.sample(_PARTS, 3)
            trouble, deed = rng.choice(_TROUBLES), rng.choice(_DEEDS)
            turns = tuple(
                (self._said(_ASKED, about, trouble, deed), " ".join(self._filler(about, rng.randint(1, 5))))
                for _ in range(rng.choice((1, 1, 2, 3, 5)))
            )
            name = self._said(_NAMES, about, trouble, deed) if rng.random() < 0.15 else None
            output = self._said(_OUTPUTS, about, trouble, deed) if rng.random() < 0.4 else None
            topic = Topic(turns, (), name, output, archived=rng.random() < 0.1)
            if not self._answers(topic):
                return topic

    def _answers(self, topic: Topic) -> bool:
        """Whether its name or a message of the user is about what a question is about: then it would be no wrong
        answer."""
        return any(
            sum(word in said for word in words) >= max(2, len(words) - 1)
            for text in (topic.name or "", *(asked for asked, _ in topic.turns))
            for said in [_stems(text)]
            for words in self._topics
        )

    def _said(self, templates: Sequence[str], about: Sequence[str], trouble: str, deed: str) -> str:
        a, b, c = about
        return self._rng.choice(templates).format(a=a, b=b, c=c, trouble=trouble, deed=deed)

    def _filler(self, about: Sequence[str], sentences: int) -> Iterator[str]:
        """Sentences on the thread's parts, and on others."""
        for _ in range(sentences):
            parts = about if self._rng.random() < 0.5 else self._rng.sample(_PARTS, 3)
            yield self._said(_ANSWERED, parts, self._rng.choice(_TROUBLES), self._rng.choice(_DEEDS))

    # ------------------------------------------------------------------------------------------ files

    def _write(self, number: int, topic: Topic) -> str:
        rng, at = self._rng, round((self._begin + number * self._every).timestamp() * 1000)
        noise = f"{rng.getrandbits(72):018x}"
        time = f"{at:012x}"
        thread_id = f"{time[:8]}-{time[8:]}-7{noise[:3]}-8{noise[3:6]}-{noise[6:]}"
        lines = list(self._lines(thread_id, at, topic))
        rollout = self.rollouts.create(self.rollouts.new(thread_id, at), b"".join(map(encode_line, lines)))
        end = at / 1000 + 60 * len(topic.turns)
        os.utime(self.rollouts.absolute(rollout), (end, end))
        if topic.name is not None:
            self.names[thread_id] = topic.name
            self.chars += len(topic.name)
            self.rollouts.set_name(thread_id, topic.name, at)
        if topic.archived:
            (moved,) = self.rollouts.move([rollout], archived=True)
            assert not isinstance(moved, StoreFailure)
            os.utime(self.rollouts.absolute(moved), (end, end))
        return thread_id

    def _lines(self, thread_id: str, at: int, topic: Topic) -> Iterator[RolloutLine]:
        rng = self._rng
        yield writer.session_meta(
            thread_id,
            session_id=thread_id,
            created_at_ms=at,
            cwd=f"/work/{rng.choice(('shop', 'billing', 'infra', 'app'))}",
            originator="codex_cli_rs",
            cli_version="0.171.0",
            source="cli",
            model_provider="openai",
            base_instructions=None,
        )
        about = rng.sample(_PARTS, 3)
        for number, (asked, answered) in enumerate(topic.turns):
            turn, now = f"{thread_id[:-4]}{number:04}", at + number * _MINUTE_MS
            # Who asks about something says other things too.
            answer = " ".join(
                [*self._filler(about, rng.randint(0, 2)), answered, *self._filler(about, rng.randint(0, 3))]
            )
            self.chars += len(asked) + len(answer)
            yield from writer.turn_started(turn, turn, now)
            yield from writer.user_message(turn, [{"type": "text", "text": asked}], now)
            if topic.output is not None and number == 0:
                self.chars += len("shell make") + len(topic.output)
                yield from writer.tool_call(turn, "call_1", "shell", {"command": "make"}, now)
                yield from writer.tool_output(turn, "call_1", topic.output, None, now)
            yield from writer.agent_message(turn, answer, now)
            yield from writer.turn_completed(turn, turn, now, answer, now + 900)


def _stems(text: str) -> frozenset[str]:
    return frozenset(stem_of(word) or word for word in words_of(text))


def _telling(topic: Topic) -> frozenset[str]:
    return _stems(topic.questions[0])
