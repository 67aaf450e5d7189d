"""The watermark of a backfill: how far back in time an unfinished index is complete, judged by the rollouts' names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from mcp_server.codex.paths import id_in, is_archived, name_stamp, recorded_time_ms
from mcp_server.models.records import ALL_ACTIVE

# Names have the writer's local time, up to 12 hours behind UTC, in seconds, slightly off that in the session metadata.
_SLACK_MS = 13 * 3_600_000
_UNKNOWN = "~"  # sorts after every time
_USUAL_CHARS = len("rollout-YYYY-MM-DDTHH-MM-SS-.jsonl") + 36
_USUAL_ID = slice(-42, -6)
_LAST_HYPHEN = -19


class BackfillWatermark:
    """The backfill reads the paths in order. After it has read some, `complete_since` returns the time since which the
    index holds all active threads, judged by the times in the names of the paths that are left.

    A thread with several files counts as left, with the newest of their times, until its last file is read, since only
    then it is decided which file is the thread. While a file without a time in its name is left, nothing is known.

    Paths are not kept in memory. They are counted in parts of `every` paths; a part counts as left until its last path
    is read. `found` is the number of paths.
    """

    def __init__(self, paths: Callable[[], Iterator[str]], every: int = 1) -> None:
        self._paths = paths
        seen, several = set[int](), set[int]()
        # By hash, to save memory: at worst, two threads with the same hash wait for each other.
        self.found, self._parts = _parts(_note_threads(paths(), seen, several), every, {})
        if several:
            newest: dict[int | None, str] = {}
            for path in paths():
                if (key := _key(path)) in several:
                    newest[key] = max(_stamp(path), newest.get(key, ""))
            _, self._parts = _parts(paths(), every, newest)

    def complete_since(self, done: str | None) -> int | None:
        """The time in Unix milliseconds, once the backfill has read all up to the path `done` (None: nothing yet). None
        if it is unknown, `ALL_ACTIVE` if no active file is left."""
        stamp = next((stamp for last, stamp in self._parts if done is None or last < done), "")
        if not stamp:
            return ALL_ACTIVE
        at_ms = None if stamp == _UNKNOWN else recorded_time_ms(stamp)
        return None if at_ms is None else at_ms + _SLACK_MS

    def count_done(self, done: str) -> int:
        """The number of paths up to this one."""
        return sum(path >= done for path in self._paths())


def _note_threads(paths: Iterable[str], seen: set[int], several: set[int]) -> Iterator[str]:
    """The paths. Adds the threads of their names to `seen`, and those with more than one path to `several`."""
    for path in paths:
        if (key := _key(path)) is not None:
            (several if key in seen else seen).add(key)
        yield path


def _parts(paths: Iterable[str], every: int, newest: Mapping[int | None, str]) -> tuple[int, list[tuple[str, str]]]:
    """The number of paths; and the last path of each part of `every` paths, with the newest time of the active paths in
    it or in a later part. `newest` has the times of threads with several files."""
    found = 0
    parts: list[tuple[str, str]] = []
    for path in paths:
        stamp = "" if is_archived(path) else (newest.get(_key(path)) if newest else None) or _stamp(path)
        if found % every == 0:
            parts.append((path, stamp))
        else:
            parts[-1] = (path, max(parts[-1][1], stamp))
        found += 1
    for place in range(len(parts) - 2, -1, -1):
        last, stamp = parts[place]
        parts[place] = (last, max(stamp, parts[place + 1][1]))
    return found, parts


def _key(path: str) -> int | None:
    name = path[path.rfind("/") + 1 :]
    # To parse each of 100,000 names would take a quarter of the backfill. (An id without hyphens is parsed.)
    if len(name) == _USUAL_CHARS and name[_LAST_HYPHEN] == "-":
        return hash(name[_USUAL_ID].lower())
    thread_id = id_in(name)
    return hash(thread_id) if thread_id else None


def _stamp(path: str) -> str:
    return name_stamp(path) or _UNKNOWN
