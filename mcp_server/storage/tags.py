"""The tags that people and agents give threads: our own, which Codex knows nothing of."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol


class Tags(Protocol):
    """The tags of a home's threads. They are no part of the index: who loses that loses no tag."""

    def of(self, thread_ids: Collection[str]) -> Mapping[str, tuple[str, ...]]:
        """The tags of these threads, sorted; only those that have some. What can't be read counts as no tags."""
        ...

    def having(self, tags: Collection[str]) -> set[str]:
        """The threads that have all of these tags, whatever their case.

        Raises:
            DamagedRollout: the tags can't be read.
        """
        ...

    def set(self, thread_id: str, tags: Sequence[str], at_ms: int) -> None:
        """Give a thread these tags instead of those that it has, durably. None at all forget the thread.

        Raises:
            StoreFailure: they can't be written, or others keep them locked.
        """


class MemoryTags(Tags):
    """Tags that last as long as the process."""

    def __init__(self) -> None:
        self._tags: dict[str, tuple[str, ...]] = {}

    def of(self, thread_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
        return {thread_id: self._tags[thread_id] for thread_id in thread_ids if thread_id in self._tags}

    def having(self, tags: Collection[str]) -> set[str]:
        return having(self._tags, tags)

    def set(self, thread_id: str, tags: Sequence[str], at_ms: int) -> None:
        self._tags.pop(thread_id, None)
        if tags:
            self._tags[thread_id] = tuple(sorted(tags))


def having(tags_of: Mapping[str, Collection[str]], tags: Collection[str]) -> set[str]:
    """The threads among these that have all the tags, whatever their case."""
    wanted = {tag.casefold() for tag in tags}
    return {thread_id for thread_id, has in tags_of.items() if wanted <= {tag.casefold() for tag in has}}
