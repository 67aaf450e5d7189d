"""Homes of any size for benchmarks: valid rollouts as Codex writes them, the same bytes for the same seed.

python -m tests.benchmarks.homes DIR --threads 10000 [--lines 19] [--tree 1000] [--long 1] [--huge-mb 400]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

RARE = "needle0"
"""A word that is said once in a home, in the oldest thread."""
COMMON = "refactor"
"""A word that is said in nearly every thread."""
ABSENT = "zzzznotthere"

LINES_PER_TURN = 6
_NEWEST_MS = 1_790_000_000_000
_DAY_MS = 86_400_000
_NEEDLE_EVERY = 1_000
_CHILDREN = 4
_CALLS_PER_TURN = 10
_OUTPUT_CHARS = 20_000
_CONFIG = """\
model = "mock-model"
model_provider = "mock"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
web_search = "disabled"

[model_providers.mock]
name = "mock"
base_url = "http://127.0.0.1:9/v1"
wire_api = "responses"
requires_openai_auth = false
supports_websockets = false
request_max_retries = 0
stream_max_retries = 0

[analytics]
enabled = false
"""
_WORDS = (
    f"alpha bravo delta {COMMON} parser index cache thread store rollout sqlite query merge test build deploy graph "
    "token stream buffer"
).split()


_Lines = Callable[[str, int], Iterator[str]]
"""The lines of a thread by its id and the time that it begins at."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a home holds. `threads` counts the plain active ones; all the others come beside them.

    `lines` is the length of a plain thread, rounded up to whole turns. `archived` plain threads lie in
    archived_sessions. `tree` sub-agents run below one further thread, four under each. `long` threads have `long_lines`
    lines. One thread of `huge_mb` megabytes is mostly tool output. The plain threads are spread over `days`.
    """

    threads: int
    lines: int = 19
    chars: int = 400
    archived: int = 0
    tree: int = 0
    long: int = 0
    long_lines: int = 10_000
    huge_mb: int = 0
    days: int = 30
    seed: int = 1


@dataclass(slots=True)
class Home:
    """A home that was made: thread ids by kind, oldest first; a tree's root comes first."""

    path: Path
    threads: list[str] = field(default_factory=list[str])
    archived: list[str] = field(default_factory=list[str])
    tree: list[str] = field(default_factory=list[str])
    long: list[str] = field(default_factory=list[str])
    huge: str | None = None
    bytes: int = 0

    @property
    def listed(self) -> int:
        """How many threads a default list has: all but archived ones and sub-agents."""
        return len(self.threads) + len(self.long) + bool(self.tree) + (self.huge is not None)


def make_home(path: Path, shape: Shape) -> Home:
    """Write a home into a folder that is empty or absent."""
    return _Maker(path, shape).make()


def lines_of(shape: Shape) -> int:
    """The lines that a plain thread has in fact."""
    return 1 + LINES_PER_TURN * _turns(shape.lines)


class _Maker:
    def __init__(self, path: Path, shape: Shape) -> None:
        self._shape = shape
        self._home = Home(path)
        self._rng = random.Random(shape.seed)
        # Texts are drawn from pools: joining words for every message is what would cost most.
        self._asked = [self._text(max(20, shape.chars // 4)) for _ in range(256)]
        self._answered = [self._text(shape.chars) for _ in range(256)]
        self._folders = set[Path]()

    def make(self) -> Home:
        shape, home = self._shape, self._home
        home.path.mkdir(parents=True, exist_ok=True)
        (home.path / "config.toml").write_text(_CONFIG)
        step = max(1, shape.days * _DAY_MS // max(1, shape.threads))
        start = _NEWEST_MS - shape.threads * step
        for number in range(shape.threads):
            home.threads.append(self._plain(number, start + number * step))
        for number in range(shape.archived):
            home.archived.append(self._plain(number, start - (number + 1) * 1000, archived=True))
        for number in range(shape.tree + 1 if shape.tree else 0):
            home.tree.append(self._member(number, start - _DAY_MS + number * 10))
        for number in range(shape.long):
            at = start - 2 * _DAY_MS + number * 1000
            home.long.append(self._write(at, lambda key, at: self._turn_lines(key, at, _turns(shape.long_lines))))
        if shape.huge_mb:
            home.huge = self._write(start - 3 * _DAY_MS, lambda key, at: self._huge(key, at, shape.huge_mb * 1_000_000))
        return home

    # ------------------------------------------------------------------------------------------ threads

    def _plain(self, number: int, at_ms: int, *, archived: bool = False) -> str:
        needle = f"needle{number}" if not archived and number % _NEEDLE_EVERY == 0 else ""
        folder = f"/srv/proj{number % 10}"
        turns = _turns(self._shape.lines)
        return self._write(
            at_ms,
            lambda key, at: self._turn_lines(key, at, turns, needle=needle, cwd=folder),
            archived=archived,
        )

    def _member(self, number: int, at_ms: int) -> str:
        parents = self._home.tree
        parent = parents[(number - 1) // _CHILDREN] if number else None
        depth = 1
        while (number := (number - 1) // _CHILDREN) > 0:
            depth += 1
        return self._write(at_ms, lambda key, at: self._turn_lines(key, at, 2, parent=parent, depth=depth))

    def _turn_lines(
        self,
        key: str,
        at_ms: int,
        turns: int,
        *,
        needle: str = "",
        cwd: str = "/srv/proj",
        parent: str | None = None,
        depth: int = 1,
    ) -> Iterator[str]:
        yield self._meta(key, at_ms, cwd, parent, depth)
        for number in range(turns):
            at_ms += 1000
            asked = f"turn {number} of {key[-6:]}: {self._rng.choice(self._asked)}"
            if needle and number == turns - 1:
                asked += f" {needle}"
            yield from self._turn(at_ms, asked, self._rng.choice(self._answered), ())

    def _huge(self, key: str, at_ms: int, size: int) -> Iterator[str]:
        yield self._meta(key, at_ms, "/srv/proj", None, 1)
        output = self._text(_OUTPUT_CHARS)
        written = number = 0
        while written < size:
            at_ms += 1000
            asked = f"turn {number} of {key[-6:]}: {self._rng.choice(self._asked)}"
            calls = tuple(f"call_{number}_{call}" for call in range(_CALLS_PER_TURN))
            for line in self._turn(at_ms, asked, self._rng.choice(self._answered), calls, output):
                written += len(line)
                yield line
            number += 1

    # ------------------------------------------------------------------------------------------ lines

    def _meta(self, key: str, at_ms: int, cwd: str, parent: str | None, depth: int) -> str:
        source, more = '"vscode"', ""
        if parent is not None:
            source = (
                f'{{"subagent":{{"thread_spawn":{{"parent_thread_id":"{parent}","depth":{depth},"agent_path":null,'
                f'"agent_nickname":"Gen","agent_role":null}}}}}}'
            )
            more = f',"parent_thread_id":"{parent}","thread_source":"subagent","agent_nickname":"Gen"'
        root = self._home.tree[0] if parent is not None else key
        return (
            f'{{"timestamp":"{_iso(at_ms)}","type":"session_meta","payload":{{"session_id":"{root}","id":"{key}",'
            f'"timestamp":"{_iso(at_ms)}","cwd":"{cwd}","originator":"bench","cli_version":"0.169.0",'
            f'"source":{source},"model_provider":"mock","history_mode":"legacy"{more}}}}}\n'
        )

    def _turn(self, at_ms: int, asked: str, answered: str, calls: tuple[str, ...], output: str = "") -> Iterator[str]:
        """A turn of six lines, and two for each tool call. All text is plain: nothing needs escaping."""
        turn, began = self._id(at_ms), at_ms // 1000
        event = f'{{"timestamp":"{_iso(at_ms)}","type":"event_msg","payload":'
        item = f'{{"timestamp":"{_iso(at_ms)}","type":"response_item","payload":'
        yield (
            f'{event}{{"type":"task_started","turn_id":"{turn}","started_at":{began},"model_context_window":258400,'
            f'"collaboration_mode_kind":"default"}}}}\n'
        )
        yield f'{item}{{"type":"message","role":"user","content":[{{"type":"input_text","text":"{asked}"}}]}}}}\n'
        yield (
            f'{event}{{"type":"user_message","message":"{asked}","images":[],"local_images":[],"text_elements":[]}}}}\n'
        )
        for call in calls:
            yield f'{item}{{"type":"function_call","name":"shell","arguments":"{{}}","call_id":"{call}"}}}}\n'
            yield f'{item}{{"type":"function_call_output","call_id":"{call}","output":"{output}"}}}}\n'
        yield f'{event}{{"type":"agent_message","message":"{answered}"}}}}\n'
        yield (
            f'{item}{{"type":"message","role":"assistant","content":[{{"type":"output_text","text":"{answered}"}}]}}}}\n'
        )
        yield (
            f'{event}{{"type":"task_complete","turn_id":"{turn}","last_agent_message":"{answered}",'
            f'"started_at":{began},"completed_at":{began + 1},"duration_ms":600}}}}\n'
        )

    # ------------------------------------------------------------------------------------------ files

    def _write(self, at_ms: int, lines: _Lines, *, archived: bool = False) -> str:
        key = self._id(at_ms)
        at = datetime.fromtimestamp(at_ms / 1000, UTC)
        folder = self._home.path / ("archived_sessions" if archived else f"sessions/{at:%Y/%m/%d}")
        if folder not in self._folders:
            folder.mkdir(parents=True, exist_ok=True)
            self._folders.add(folder)
        path = f"{folder}/rollout-{at:%Y-%m-%dT%H-%M-%S}-{key}.jsonl"
        with open(path, "w", encoding="ascii", opener=_private) as file:
            file.writelines(lines(key, at_ms))
            self._home.bytes += file.tell()
        os.utime(path, (at_ms / 1000 + 60, at_ms / 1000 + 60))
        return key

    def _id(self, at_ms: int) -> str:
        at, noise = f"{at_ms:012x}", f"{self._rng.getrandbits(72):018x}"
        return f"{at[:8]}-{at[8:]}-7{noise[:3]}-8{noise[3:6]}-{noise[6:]}"

    def _text(self, chars: int) -> str:
        words: list[str] = []
        length = 0
        while length < chars:
            words.append(self._rng.choice(_WORDS))
            length += len(words[-1]) + 1
        return " ".join(words)[:chars]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _turns(lines: int) -> int:
    return max(1, -(-(lines - 1) // LINES_PER_TURN))


def _iso(ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + f".{ms % 1000:03d}Z"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    for name in Shape.__dataclass_fields__:
        default = getattr(Shape(1_000), name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default, help=f"default {default}")
    options = vars(parser.parse_args())
    home = make_home(options.pop("home"), Shape(**options))
    print(json.dumps({"listed": home.listed, "bytes": home.bytes, "long": home.long, "huge": home.huge}))


if __name__ == "__main__":
    main()
