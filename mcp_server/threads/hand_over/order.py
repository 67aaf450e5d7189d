"""In which order rollouts that borrow from each other are rewritten, and up to where they borrow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Protocol, TypeVar

from mcp_server.models.history_base import HistoryBase


class Borrower(Protocol):
    """A rollout with an id, which may borrow the beginning of its history from another."""

    @property
    def id(self) -> str: ...

    @property
    def base(self) -> HistoryBase | None: ...


B = TypeVar("B", bound=Borrower)


def bases_first(rollouts: Iterable[B]) -> list[B]:
    """The rollouts, each after the one that it borrows from. A circle is broken somewhere."""
    by_id = {one.id: one for one in rollouts}
    ordered: dict[str, B] = {}
    for one in by_id.values():
        chain = {one.id: one}
        while (base := one.base) and base.thread_id in by_id and base.thread_id not in chain:
            one = chain[base.thread_id] = by_id[base.thread_id]
        ordered |= {key: link for key, link in reversed(chain.items()) if key not in ordered}
    return list(ordered.values())


def borrowed_ends(rollouts: Iterable[Borrower]) -> dict[str, list[int]]:
    """The offsets up to which others borrow from a rollout, by its id."""
    found = defaultdict[str, list[int]](list)
    for one in rollouts:
        if one.base is not None:
            found[one.base.thread_id].append(one.base.end_byte_offset)
    return found
