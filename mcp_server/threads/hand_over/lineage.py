"""Which threads and rollouts belong into one bundle: a tree, and whatever its histories borrow from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mcp_server.codex.file_rank import is_canonical
from mcp_server.codex.files import RolloutRef, rollout_of
from mcp_server.codex.paths import archived_path, is_text, rollout_id_of, uncompressed
from mcp_server.errors import EphemeralThread, NotMaterialized, StoreFailure, ThreadNotFound
from mcp_server.models.history_base import HistoryBase
from mcp_server.models.thread import StoredThread
from mcp_server.storage.contracts import Rollouts
from mcp_server.threads.catalog import Catalog
from mcp_server.threads.tree import descendants


@dataclass(frozen=True, slots=True)
class Segment:
    """One rollout of a thread: where it is, where it will be in the bundle, and what it borrows from."""

    rollout: RolloutRef
    path: str
    base: HistoryBase | None

    @property
    def id(self) -> str:
        return rollout_id_of(self.path) or ""


@dataclass(slots=True)
class Member:
    """A thread of the bundle. `segments`: the rollouts that reverts have replaced first, the current one last."""

    thread: StoredThread
    borrowed: bool
    segments: list[Segment]


@dataclass(slots=True)
class Lineage:
    """The threads of a bundle, the root of the tree first."""

    members: dict[str, Member] = field(default_factory=dict[str, Member])

    @property
    def segments(self) -> list[Segment]:
        return [segment for member in self.members.values() for segment in member.segments]


def tree_of(catalog: Catalog, reference: str) -> tuple[list[StoredThread], dict[str, str]]:
    """The stored threads of a tree, the root first, then its sub-agents by depth; and why others are left out.

    Raises:
        ThreadNotFound, DamagedRollout: of the root.
        EphemeralThread, NotMaterialized: the root is in memory only.
    """
    root_id = catalog.resolve(reference)
    loaded = catalog.loaded.get(root_id)
    if loaded is not None and not loaded.has_rollout:
        raise (
            EphemeralThread(root_id, "thread_export") if loaded.ephemeral else NotMaterialized(root_id, "thread_export")
        )
    root = catalog.known(root_id)
    if loaded is not None and loaded.ephemeral:
        raise EphemeralThread(root_id, "thread_export")
    ids = [one.thread_id for one in descendants(root_id, catalog.edges_below(root_id))]
    known, _ = catalog.known_many(ids)
    threads, left_out = [root], dict[str, str]()
    for thread_id in ids:
        thread, held = known[thread_id], catalog.loaded.get(thread_id)
        if isinstance(thread, StoredThread) and (held is None or held.has_rollout):
            threads.append(thread)
        else:
            left_out[thread_id] = str(thread) if isinstance(thread, StoreFailure) else "it has no file"
    return list(catalog.with_tags(threads)), left_out


def lineage_of(catalog: Catalog, threads: Sequence[StoredThread]) -> Lineage:
    """What a bundle of these threads consists of.

    Raises:
        DamagedRollout: one of the rollouts can't be read.
    """
    found = Lineage()
    waiting = [(thread, False) for thread in threads]
    while waiting:
        thread, borrowed = waiting.pop(0)
        if thread.id in found.members:
            continue
        member = Member(thread, borrowed, _segments(catalog.rollouts, thread))
        found.members[thread.id] = member
        waiting += [(source, True) for source in _sources(catalog, member.segments) if source.id not in found.members]
    return found


def _segments(rollouts: Rollouts, thread: StoredThread) -> list[Segment]:
    current = rollout_of(thread)
    others = rollouts.companions({thread.id: current}).get(thread.id, [])
    replaced = {one.rollout_id: one for one in others if one.rollout_id != current.rollout_id}
    found = [
        Segment(one, _path(rollouts, thread, one), rollouts.describe(one).thread.history_base)
        for one in replaced.values()
    ]
    return [*found[::-1], Segment(current, _path(rollouts, thread, current), thread.history_base)]


def _path(rollouts: Rollouts, thread: StoredThread, rollout: RolloutRef) -> str:
    """The path in the bundle: the one that Codex would give the rollout, as plain text."""
    path = uncompressed(rollout.path)
    if is_canonical(path, thread.id) and is_text(path):
        return path
    path = rollouts.new(thread.id, thread.created_at_ms).path
    return archived_path(path) if rollout.archived else path


def _sources(catalog: Catalog, segments: Sequence[Segment]) -> list[StoredThread]:
    """The threads that these segments borrow from. One that is missing is missed in the home, too."""
    found: list[StoredThread] = []
    for segment in segments:
        if segment.base is None or (source := catalog.lookup.source(segment.base.thread_id)) is None:
            continue
        owner = source.rollout.thread_id or catalog.rollouts.describe(source.rollout).thread.id
        try:
            found.append(catalog.known(owner))
        except ThreadNotFound:
            continue
    return found
