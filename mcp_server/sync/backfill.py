"""How far back in time a half-built index is complete, as far as the names of the rollouts tell. Blocking."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from mcp_server.codex.paths import id_in, is_archived, name_stamp, recorded_time_ms

ALL_ACTIVE = -(2**62)
"""The horizon once no active rollout is left to read."""

# Names tell a writer's local time, which may be up to 12 hours behind UTC; and to the second, a moment before or after
# the session metadata.
_SLACK_MS = 13 * 3_600_000
_UNKNOWN = "~"  # sorts after every time
_USUAL_CHARS = len("rollout-YYYY-MM-DDTHH-MM-SS-.jsonl") + 36
_USUAL_ID = slice(-42, -6)
_LAST_HYPHEN = -19


class BackfillWatermark:
    """For paths in the order of work, what is known after the first of them are done: no active rollout that is left
    says by its name that its thread was created after `complete_since(done)`.

    A thread with several files counts as left, by the newest of their names, until the last of them is done: which of
    them has the row is settled only then. So does, without a time, a file whose name tells none.

    The paths are gone through and not kept: what is known is known of parts of `every` paths, and the part in hand
    counts as left until its last is done. `found` is their number.
    """

    def __init__(self, paths: Callable[[], Iterator[str]], every: int = 1) -> None:
        self._paths = paths
        seen, several = set[int](), set[int]()
        # Threads are told apart by hash: two that share one wait for each other, no more.
        self.found, self._parts = _parts(_noted(paths(), seen, several), every, {})
        if several:
            newest: dict[int | None, str] = {}
            for path in paths():
                if (key := _key(path)) in several:
                    newest[key] = max(_stamp(path), newest.get(key, ""))
            _, self._parts = _parts(paths(), every, newest)

    def complete_since(self, done: str | None) -> int | None:
        """Unix milliseconds once all is done up to a path (None: nothing yet); None if nothing can be said,
        `ALL_ACTIVE` if no active file is left."""
        stamp = next((stamp for last, stamp in self._parts if done is None or last < done), "")
        if not stamp:
            return ALL_ACTIVE
        at_ms = None if stamp == _UNKNOWN else recorded_time_ms(stamp)
        return None if at_ms is None else at_ms + _SLACK_MS

    def count_done(self, done: str) -> int:
        """How many paths there are up to one."""
        return sum(path >= done for path in self._paths())


def _noted(paths: Iterable[str], seen: set[int], several: set[int]) -> Iterator[str]:
    """The paths; notes on the way which threads more than one of them is named after."""
    for path in paths:
        if (key := _key(path)) is not None:
            (several if key in seen else seen).add(key)
        yield path


def _parts(paths: Iterable[str], every: int, newest: Mapping[int | None, str]) -> tuple[int, list[tuple[str, str]]]:
    """How many paths there are; and the last of each part of so many, with the newest name of what is active in it or
    in a later one. `newest` is the newest name of a thread that has several."""
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
    # To look closer at each of 100,000 would take a quarter of the time. An id without hyphens is not the usual one.
    if len(name) == _USUAL_CHARS and name[_LAST_HYPHEN] == "-":
        return hash(name[_USUAL_ID].lower())
    thread_id = id_in(name)
    return hash(thread_id) if thread_id else None


def _stamp(path: str) -> str:
    return name_stamp(path) or _UNKNOWN
