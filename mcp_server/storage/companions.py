"""Finds the other files that a home of files holds for a thread, beside its current rollout."""

from __future__ import annotations

from collections.abc import Mapping

from mcp_server.codex.file_rank import classify_files
from mcp_server.codex.files import RolloutRef
from mcp_server.codex.paths import active_date, archived_path, revert_order
from mcp_server.storage.contracts import RolloutStore


def companions(
    store: RolloutStore, rollouts: Mapping[str, RolloutRef], archived: bool | None
) -> dict[str, list[RolloutRef]]:
    """Implements `Rollouts.companions` on top of a store's other methods."""
    found: dict[str, list[RolloutRef]] = {}
    for thread_id, rollout in rollouts.items():
        if revert_order(rollout.path):
            found[thread_id] = [one for one in _replaced(store, thread_id, rollout) if archived in (None, one.archived)]
    if archived is None:
        for thread_id, twin in _left_by_moves(store, rollouts).items():
            found.setdefault(thread_id, []).append(twin)
    return found


def _replaced(store: RolloutStore, thread_id: str, rollout: RolloutRef) -> list[RolloutRef]:
    """The rollouts that reverts have replaced."""
    files = {file.path: file for file in store.locate(thread_id)} | {rollout.path: rollout}
    replaced = classify_files(files, thread_id).replaced
    return [files[path] for path in replaced if path != rollout.path]


def _left_by_moves(store: RolloutStore, rollouts: Mapping[str, RolloutRef]) -> dict[str, RolloutRef]:
    """The second names, in the other folder, of files whose move was interrupted between its two steps."""
    twins = {thread_id: path for thread_id, one in rollouts.items() if (path := _path_across_archive(one))}
    there = store.stat_many({*twins.values(), *(rollouts[thread_id].path for thread_id in twins)})
    return {
        thread_id: there[path]
        for thread_id, path in twins.items()
        if path in there
        and rollouts[thread_id].path in there
        and there[path].stamp == there[rollouts[thread_id].path].stamp
    }


def _path_across_archive(rollout: RolloutRef) -> str | None:
    """The archived path of an active file, or the reverse; None if the name has no date to derive it from."""
    if not rollout.archived:
        return archived_path(rollout.path)
    name = rollout.path.rpartition("/")[2]
    folder = active_date(name)
    return folder and f"{folder}/{name}"
