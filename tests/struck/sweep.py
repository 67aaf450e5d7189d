"""The sweep: a process is killed at the first point of a verb, the second, ... until the verb ends first; or its disk
fails from there on. After each a fresh server must find all in order. A command for the whole of it:

    python -m tests.struck.sweep [--verb thread_archive] [--every 1] [--errors]
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from operator import itemgetter
from pathlib import Path
from typing import Any

from mcp_server.codex.lines import MalformedLine, decode_line
from tests.codex_database import row_of, rows_of
from tests.mission.conftest import Tools, rollouts
from tests.struck.process import End, failing, killed, planted, seen
from tests.struck.verbs import VERBS, Story, Verb, standing

ERRORS = ("ENOSPC", "EIO", "EACCES", "EROFS")


def kill_sweep(verb: Verb, folder: Path, *, first: int = 1, every: int = 1) -> Counter[str]:
    """Returns how many stops there were, how the operation stood after them, and how many statements wrote for it."""
    home, seed, tally = folder / "home", folder / "seed", Counter[str]()
    story = _plant(home, seed, verb)
    number = first
    while True:
        shutil.copytree(seed, home)
        end = killed(home, verb, _copy(story), number)
        at = str(end.said.get("at", "the end"))
        try:
            tally[_check(home, verb, end.story, torn=at == "half of a write")] += 1
            if verb.codex:
                _check_codex(home, end.story)
        except AssertionError as failure:
            failure.add_note(f"killed at point {number}: {at}")
            raise
        shutil.rmtree(home)
        if "at" not in end.said:
            tally["stops"] = sum(tally.values()) - 1
            tally["statements"] = int(str(end.said["statements"]))
            return tally
        number += every


def error_sweep(verb: Verb, folder: Path, error: str, *, first: int = 1, every: int = 1) -> Counter[str]:
    """Returns how often the disk failed, and how often the client was told."""
    home, seed, tally = folder / "home", folder / "seed", Counter[str]()
    story = _plant(home, seed, verb)
    number = first
    while True:
        shutil.copytree(seed, home)
        end = failing(home, verb, _copy(story), number, error)
        try:
            _check_refusal(end, error)
            # Of ENOSPC alone it is sure that a piece of a line can be cut off again.
            _check(home, verb, end.story, torn=False, cut=error == "ENOSPC")
        except AssertionError as failure:
            failure.add_note(f"{error} from point {number} on")
            raise
        shutil.rmtree(home)
        if not end.said["failed"]:
            return tally
        tally["failures"] += 1
        tally["refusals"] += "refusal" in end.said
        number += every


def _plant(home: Path, seed: Path, verb: Verb) -> Story:
    story = planted(home, verb)
    if verb.from_the_start:
        for path in home.glob("threadstore.sqlite*"):
            path.unlink()
    home.rename(seed)
    return story


def _copy(story: Story) -> Story:
    return Story(list(story.ids), {thread_id: list(texts) for thread_id, texts in story.said.items()})


def _check_refusal(end: End, error: str) -> None:
    if "refusal" not in end.said:
        return
    code, sentence = end.said["refusal"]  # type: ignore[misc]
    assert code in ("write_failed", "store_failure"), (code, sentence)
    assert any(reason in sentence for reason in _REASONS[error]), sentence


_REASONS = {
    "ENOSPC": ("No space left on device", "database or disk is full"),
    "EIO": ("Input/output error", "disk I/O error"),
    "EACCES": ("Permission denied", "readonly database"),
    "EROFS": ("Read-only file system", "readonly database"),
}


# ---------------------------------------------------------------------------------------------- what must be true


def _check(home: Path, verb: Verb, story: Story, *, torn: bool, cut: bool = True) -> str:
    """How the operation stands, in a fresh server: `done` or `undone`, and nothing else."""

    async def look(tools: Tools) -> str:
        await _in_order(tools)
        outcome = await _outcome(tools, verb, story, torn=torn)
        await _goes_on(tools, story)
        return outcome

    outcome = seen(home, look)
    _whole_lines(home, torn=torn or not cut)
    return outcome


def _check_codex(home: Path, story: Story) -> None:
    """Codex's rows tell where the files lie, and the name and git info that a server shows."""
    rows = rows_of(home)
    place = ("id", "rollout_path", "archived")
    assert [{key: row[key] for key in place} for row in rows.values()] == sorted(
        (row_of(path) for path in rollouts(home) if path.stem[-36:] in rows), key=itemgetter("id")
    )

    async def look(tools: Tools) -> str:
        thread: dict[str, Any] = (await tools("thread_read", thread_id=story.ids[-1]))["thread"]
        return json.dumps([thread["name"], thread["git_info"]])

    row = rows[story.ids[-1]]
    name, git_info = json.loads(seen(home, look))
    assert (row["title"] == "renamed") == (name == "renamed")
    assert row["git_branch"] == (git_info["branch"] if git_info else None)


async def _in_order(tools: Tools) -> None:
    status = await tools("store_status", deep=True)
    counts = status["counts"]
    assert (counts["missing"], counts["stale"], counts["duplicate"], counts["running_operations"]) == (0, 0, 0, 0)
    assert (counts["rows_active"], counts["rows_archived"]) == (counts["files_active"], counts["files_archived"])
    assert [lock for lock in status["locks"] if lock["holder"] != "this server"] == []


async def _outcome(tools: Tools, verb: Verb, story: Story, *, torn: bool) -> str:
    stands = await standing(tools)
    done = story.acknowledged
    if verb.tree is not None:
        before, after = verb.tree
        now = {stands.get(thread_id) for thread_id in story.ids}
        assert now in ({before}, {after}), f"half of the tree: {stands}"
        done = now == {after}
        assert await _told(tools, story, after) == (sorted(story.ids) if done else [])
    gone = set(story.ids) if verb.tree is not None and done and verb.tree[1] is None else set[str]()
    for thread_id in {*story.said, *(i for i in story.ids if i in stands)} - gone:
        texts = await _texts(tools, thread_id)
        said = story.said.get(thread_id, [])
        assert texts[: len(said)] == said, "what was acknowledged is missing"
        more = texts[len(said) :]
        # A write that the kernel was stopped in leaves its first whole lines.
        assert more in ([], list(verb.says)) or (torn and more == list(verb.says)[: len(more)]), more
        done = done or bool(more)
    if verb.shows is not None:
        done = await _shows(tools, story.ids[-1], *verb.shows)
    assert done or not story.acknowledged
    return "done" if done else "undone"


async def _shows(tools: Tools, thread_id: str, field: str, value: object) -> bool:
    shown = (await tools("thread_read", thread_id=thread_id))["thread"][field]
    if isinstance(value, dict):
        return isinstance(shown, dict) and value.items() <= shown.items()  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return shown == value


async def _told(tools: Tools, story: Story, after: bool | None) -> list[str]:
    kind = {True: "thread/archived", False: "thread/unarchived", None: "thread/deleted"}[after]
    events = await tools("events_read", types=[kind], limit=100)
    return sorted(event["thread_id"] for event in events["data"] if event["thread_id"] in story.ids)


async def _texts(tools: Tools, thread_id: str) -> list[str]:
    read: dict[str, Any] = await tools(
        "thread_read", thread_id=thread_id, include_turns=True, items_view="full", sort_direction="asc"
    )
    items = [item for turn in read["thread"]["turns"] for item in turn["items"]]
    return [item["text"] if "text" in item else item["content"][0]["text"] for item in items]


async def _goes_on(tools: Tools, story: Story) -> None:
    """Service goes on: the thread that was struck is resumed and written to, and what comes new is kept too."""
    stands = await standing(tools)
    for thread_id in [i for i in story.ids[-1:] if i in stands]:
        if stands[thread_id]:
            await tools("thread_unarchive", thread_id=thread_id, include_descendants="none")
        before = await _texts(tools, thread_id)
        await tools("thread_resume", thread_id=thread_id)
        await tools("turn_start", thread_id=thread_id, input="and on")
        await tools("turn_complete", thread_id=thread_id, message="so it does")
        assert await _texts(tools, thread_id) == [*before, "and on", "so it does"]


def _whole_lines(home: Path, *, torn: bool) -> None:
    """No torn line is glued to a new one: at most one line can't be used, and nothing follows on it."""
    bad: list[bytes] = []
    for path in rollouts(home):
        data = path.read_bytes()
        assert data.endswith(b"\n")
        bad += [line for line in data.split(b"\n") if line and not _usable(line)]
    assert len(bad) <= torn, bad
    assert all(line.count(b'{"timestamp"') == 1 for line in bad), bad


def _usable(line: bytes) -> bool:
    try:
        decode_line(line)
    except MalformedLine:
        return False
    return True


# ---------------------------------------------------------------------------------------------- the command


def sweep(name: str, cause: str, first: int, every: int) -> Counter[str]:
    """One verb with SIGKILL, or with a disk that fails with an error of that name."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        if cause == "SIGKILL":
            return kill_sweep(VERBS[name], Path(folder), first=first, every=every)
        return error_sweep(VERBS[name], Path(folder), cause, first=first, every=every)


def serve() -> None:
    """Answer lines of JSON, `[verb, cause, first, every]`, with the tally or what is broken."""
    for line in sys.stdin:
        try:
            answer = dict(sweep(*json.loads(line)))
        except AssertionError:
            answer = {"broken": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verb", choices=VERBS, action="append")
    parser.add_argument("--every", type=int, default=1, help="only each n-th point")
    parser.add_argument("--errors", action="store_true", help="let the disk fail instead of killing")
    parser.add_argument("--serve", action="store_true", help="take the sweeps from stdin")
    options = parser.parse_args()
    if options.serve:
        serve()
        return 0
    stops, broken, begun = 0, 0, time.monotonic()
    for name in options.verb or VERBS:
        for error in ERRORS if options.errors else ("SIGKILL",):
            try:
                tally = sweep(name, error, 1, options.every)
            except AssertionError:
                broken += 1
                print(f"{name}, {error}: BROKEN", flush=True)
                traceback.print_exc()
                continue
            stops += tally["stops"] + tally["failures"]
            print(f"{name}, {error}: {dict(tally)}", flush=True)
    seconds = time.monotonic() - begun
    print(f"{stops} strikes in {seconds:.0f} s, {1000 * seconds / max(1, stops):.0f} ms each; {broken} sweeps broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
