"""How far back in time a half-built index is complete, as far as the names of the rollouts tell. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_server.stores.base import RolloutFile
from mcp_server.stores.naming import name_stamp, parse_time_ms

ALL_ACTIVE = -(2**62)
"""The horizon once no active rollout is left to read."""

# Names tell a writer's local time, which may be up to 12 hours behind UTC; and to the second, a moment before or after
# the session metadata.
_SLACK_MS = 13 * 3_600_000
_UNKNOWN = "~"  # sorts after every time


class Horizon:
    """For files in the order of work, what is known after the first of them are done: no active rollout that is left
    says by its name that its thread was created after `after(done)`.

    A thread with several files counts as left, by the newest of their names, until the last of them is done: which of
    them has the row is settled only then. So does, without a time, a file whose name tells none.
    """

    def __init__(self, files: Sequence[RolloutFile]) -> None:
        several = _named_by_several(files)
        newest = dict.fromkeys(several, "")
        for file in files:
            if file.thread_id in several:
                newest[file.thread_id] = max(_stamp(file), newest[file.thread_id])
        self._left = [""] * (len(files) + 1)
        for place in range(len(files) - 1, -1, -1):
            file = files[place]
            stamp = newest[file.thread_id] if file.thread_id in several else _stamp(file)
            self._left[place] = self._left[place + 1] if file.archived else max(stamp, self._left[place + 1])

    def after(self, done: int) -> int | None:
        """Unix milliseconds; None if nothing can be said, `ALL_ACTIVE` if no active file is left."""
        stamp = self._left[done]
        if not stamp:
            return ALL_ACTIVE
        at_ms = None if stamp == _UNKNOWN else parse_time_ms(stamp)
        return None if at_ms is None else at_ms + _SLACK_MS


def _stamp(file: RolloutFile) -> str:
    return name_stamp(file.path) or _UNKNOWN


def _named_by_several(files: Sequence[RolloutFile]) -> set[str]:
    """Threads that more than one file is named after."""
    seen, several = set[str](), set[str]()
    for file in files:
        if file.thread_id is not None:
            (several if file.thread_id in seen else seen).add(file.thread_id)
    return several
