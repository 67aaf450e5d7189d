"""A fuzzer over rollout lines and files. A command for the long run:

    python -m tests.damage.fuzz --cases 100000 [--seed 1]

Each case damages a file of good lines: bytes flipped, cut out, doubled or put in, lines torn, swapped or glued, fields
given other types, or numbers and times at every edge. However the file looks, describing and reading it ends in an
answer of the types that clients are told, or in a domain error; every line that is still good is read, and after an
append every such line is still there and the new one is whole. `fuzz_homes` takes such files through a server.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from typing import Any, cast

from mcp_server.codex import writer as recording
from mcp_server.codex.files import RolloutRef
from mcp_server.codex.lines import MalformedLine, RolloutLine, decode_line, encode_line
from mcp_server.errors import ThreadstoreError
from mcp_server.models.thread import FileStamp, GitInfo, Settings, StoredThread
from mcp_server.storage.memory.rollouts import MemoryRollouts
from mcp_server.threads.views import thread_view
from tests.histories import check_types, read_history

THREAD_ID = "01a20564-0000-7000-8000-000000000001"
OTHER_ID = "01a20564-0000-7000-8000-000000000000"
PATH = f"sessions/2026/11/22/rollout-2026-11-22T10-00-00-{THREAD_ID}.jsonl"
NOW = 1_795_388_690_123
# Of the processor, and by the clock, which runs on while others have the machine.
MAX_SECONDS = 5.0
STANDSTILL_SECONDS = 60.0

Damage = Callable[[random.Random, bytes], bytes]


def good_file() -> list[bytes]:
    """The lines of a thread with every kind of item that we write."""
    settings = Settings(model="m", model_provider="p", cwd="/w", approval_policy="never", sandbox={"type": "readOnly"})
    meta = recording.session_meta(
        THREAD_ID,
        session_id=THREAD_ID,
        created_at_ms=NOW,
        cwd="/w",
        originator="fuzz",
        cli_version="0",
        source="mcp",
        model_provider="p",
        base_instructions="BASE",
        git=GitInfo(sha="abc"),
    )
    lines: list[RolloutLine] = [meta, *recording.settings_applied(THREAD_ID, settings, NOW)]
    for number in range(3):
        turn = f"turn-{number}"
        lines += [
            *recording.turn_started(turn, turn, NOW),
            *recording.turn_context(turn, settings, NOW),
            *recording.user_message(turn, [{"type": "text", "text": f"question {number} é", "text_elements": []}], NOW),
            *recording.reasoning(turn, "hm", NOW),
            *recording.plan(turn, THREAD_ID, "a plan", NOW),
            *recording.tool_call(turn, f"call-{number}", "grep", {"pattern": "x"}, NOW),
            *recording.tool_output(turn, f"call-{number}", "found", True, NOW),
            *recording.agent_message(turn, f"answer {number}", NOW),
            *recording.turn_completed(turn, turn, NOW, f"answer {number}", NOW + 5),
        ]
    return [encode_line(line) for line in lines]


GOOD = good_file()


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": [value]}
    return value


STRANGE: tuple[Any, ...] = (
    None,
    True,
    *(-1, 0, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63), -(2**63) - 1, 10**30),
    *(1e308, -1e308, 0.5, 1e-300),
    *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999-23:59", "9999-12-31T23:59:59Z"),
    *("1969-12-31T23:59:59Z", "2026-02-30T00:00:00Z", "not a time", "2026-11-22T10:00:00.1234567890+00:00:01"),
    nested(30),
    nested(60),
    nested(300),
    "",
    "\0",
    "\ud800",
    [],
    {},
    [[[]]],
    {"type": None},
    "x" * 9_999,
)


def flip(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]


def cut(rng: random.Random, data: bytes) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.randrange(1, 200) :]


def put(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    noises = [b"\0" * 50, b"\n", b"\r\n\r\n", b"{", b"\xff\xfe", b"\xef\xbb\xbf", b"[" * 2_000, b'"' * 99]
    return data[:at] + rng.choice([*noises, rng.randbytes(40)]) + data[at:]


def double(rng: random.Random, data: bytes) -> bytes:
    start = rng.randrange(len(data))
    piece = data[start : start + rng.randrange(1, 500)]
    at = rng.randrange(len(data))
    return data[:at] + piece + data[at:]


def tear(rng: random.Random, data: bytes) -> bytes:
    return data[: max(1, rng.randrange(len(data)))]


def shuffle(rng: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    rng.shuffle(lines)
    return b"".join(lines)


def retype(rng: random.Random, data: bytes) -> bytes:
    """Give one field of one line a value of another type."""
    lines = data.splitlines(keepends=True)
    number = rng.randrange(len(lines))
    try:
        record = json.loads(lines[number])
    except (ValueError, RecursionError):
        return data
    place = cast("dict[str, Any]", record) if isinstance(record, dict) else {}
    while place:
        key = rng.choice(list(place))
        inner: Any = place[key]
        if not isinstance(inner, dict) or rng.random() < 0.4:
            place[key] = rng.choice(STRANGE)
            break
        place = cast("dict[str, Any]", inner)
    lines[number] = json.dumps(record).encode() + b"\n"
    return b"".join(lines)


def mark(rng: random.Random, data: bytes) -> bytes:
    """Put a byte order mark before all, as some editors do."""
    return b"\xef\xbb\xbf" + data


def borrow(rng: random.Random, data: bytes) -> bytes:
    """Have the thread borrow from another, or from itself, as much as any number says."""
    first, *rest = data.splitlines(keepends=True)
    try:
        record = json.loads(first)
        record["payload"] |= {
            "history_mode": rng.choice(["paginated", "legacy", "", None, 7]),
            "history_base": {
                "thread_id": rng.choice([THREAD_ID, OTHER_ID, "", None]),
                "end_ordinal_exclusive": rng.choice(STRANGE),
                "end_byte_offset": rng.choice(STRANGE),
            },
        }
    except (ValueError, RecursionError, TypeError, KeyError):
        return data
    return b"".join((json.dumps(record).encode() + b"\n", *rest))


DAMAGES: tuple[Damage, ...] = (flip, cut, put, double, tear, shuffle, retype, retype, mark, borrow)


def damaged(rng: random.Random) -> bytes:
    data = b"".join(GOOD)
    for _ in range(rng.randrange(1, 4)):
        data = rng.choice(DAMAGES)(rng, data) or b"\n"
    return data


def whole_lines(data: bytes) -> list[bytes]:
    """The lines that a reader must not lose."""
    found: list[bytes] = []
    for line in data.split(b"\n"):
        try:
            decode_line(line)
        except MalformedLine:
            continue
        found.append(line)
    return found


def run_case(data: bytes) -> None:
    """Raises if the case breaks a promise."""
    rollouts = MemoryRollouts()
    rollouts.create(RolloutRef(PATH), data)
    thread = _describe(rollouts)
    if thread is not None:
        history = read_history(rollouts, thread, _nobody)
        undecodable = [line for line in data.split(b"\n") if line.strip() and line not in whole_lines(data)]
        bad = [line for line in history.bad_lines if not line.reason.startswith("the history borrowed from")]
        assert len(bad) == len(undecodable), "a bad line is not reported, or a good one is"
        for told in (thread_view(thread, rollouts), *history.turns):
            check_types(told)
    before = whole_lines(data)
    new = encode_line(recording.agent_message("turn-x", "appended", NOW)[0])
    rollouts.append(RolloutRef(PATH, FileStamp(len(data), 0)), new)
    after = [raw.data for batch in rollouts.lines(RolloutRef(PATH)) for raw in batch]
    assert [line for line in after if line in before] == [line for line in before if line.strip()], (
        "a good line is lost"
    )
    assert after[-1] == new.rstrip(b"\n"), "the appended line is glued to something"


def _describe(rollouts: MemoryRollouts) -> StoredThread | None:
    file = rollouts.stat(PATH)
    assert file is not None
    try:
        return (rollouts.describe(file)).thread
    except ThreadstoreError:
        return None


def _nobody(_: str) -> None:
    return None


def run(cases: int, seed: int) -> int:
    """Run so many cases; returns how many of them could still be described as a thread."""
    rng = random.Random(seed)
    for number in range(cases):
        data = damaged(rng)
        begun, busy = time.monotonic(), time.process_time()
        try:
            run_case(data)
        except Exception as error:
            error.add_note(f"case {number} of seed {seed}: {data[:2_000]!r}")
            raise
        in_time = time.process_time() - busy < MAX_SECONDS and time.monotonic() - begun < STANDSTILL_SECONDS
        assert in_time, f"case {number} of seed {seed} takes too long"
    return cases


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    begun = time.monotonic()
    run(options.cases, options.seed)
    print(f"{options.cases} cases of seed {options.seed} in {time.monotonic() - begun:.0f} s, no promise broken")


if __name__ == "__main__":
    main()
