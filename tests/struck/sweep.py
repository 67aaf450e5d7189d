"""The sweep: a process is killed at the first point of a verb, the second, ... until the verb ends first; or its disk
fails from there on. After each a fresh server must find all in order, and a killed call that is repeated with its
request id must not be done twice. A command for the whole of it:

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
from pathlib import Path

from tests.struck.checks import done_or_undone, stands_in_order
from tests.struck.process import End, failing, killed, planted
from tests.struck.repeats import done_at_most_once
from tests.struck.verbs import VERBS, Story, Verb

ERRORS = ("ENOSPC", "EIO", "EACCES", "EROFS")


def kill_sweep(verb: Verb, folder: Path, *, first: int = 1, every: int = 1) -> Counter[str]:
    """Returns how many stops there were, how the operation stood after them, what its repeated call was answered, and
    how many statements wrote for it, at how many ends of store calls it was."""
    home, seed, left, tally = folder / "home", folder / "seed", folder / "left", Counter[str]()
    story = _plant(home, seed, verb)
    number = first
    while True:
        shutil.copytree(seed, home)
        end = killed(home, verb, _copy(story), number)
        shutil.copytree(home, left)
        try:
            tally[done_or_undone(home, verb, end)] += 1
            shutil.rmtree(home)
            left.rename(home)
            if not verb.from_the_start:
                tally[f"repeated: {done_at_most_once(home, verb, end)}"] += 1
        except AssertionError as failure:
            failure.add_note(f"killed at point {number}: {end.at}")
            raise
        shutil.rmtree(home)
        if "at" not in end.said:
            tally["statements"] = int(str(end.said["statements"]))
            tally["calls"] = int(str(end.said["calls"]))
            return tally
        tally["stops"] += 1
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
            stands_in_order(home, verb, end.story, torn=False, cut=error == "ENOSPC")
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
    said = {thread_id: list(texts) for thread_id, texts in story.said.items()}
    return Story(list(story.ids), said, operation_id=story.operation_id, bundle=story.bundle)


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
        for cause in ERRORS if options.errors else ("SIGKILL",):
            try:
                tally = sweep(name, cause, 1, options.every)
            except AssertionError:
                broken += 1
                print(f"{name}, {cause}: BROKEN", flush=True)
                traceback.print_exc()
                continue
            stops += tally["stops"] + tally["failures"]
            print(f"{name}, {cause}: {dict(tally)}", flush=True)
    seconds = time.monotonic() - begun
    print(f"{stops} strikes in {seconds:.0f} s, {1000 * seconds / max(1, stops):.0f} ms each; {broken} sweeps broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
