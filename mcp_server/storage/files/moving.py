"""Moves rollouts between `sessions` and `archived_sessions`, one or many."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from stat import S_ISREG

from mcp_server.codex.files import RolloutRef
from mcp_server.codex.paths import ACTIVE, ARCHIVED, active_path, archived_path
from mcp_server.errors import StoreFailure
from mcp_server.storage.files import atomic as durable
from mcp_server.storage.files.atomic import stamp_of, writing
from mcp_server.storage.files.safe_path import ManyInside, inside


class Moves:
    """The moves within one home. What is moved already counts as done."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def _archive(self, path: str) -> RolloutRef:
        source, target = inside(self._home, path, ACTIVE), archived_path(path)
        return self._move(path, source, target)

    def _unarchive(self, path: str) -> RolloutRef:
        source, target = inside(self._home, path, ARCHIVED), active_path(path)
        if source.exists() and not inside(self._home, target, ACTIVE).exists():
            _touch(path, source)
        return self._move(path, source, target)

    def _move(self, path: str, source: Path, target: str) -> RolloutRef:
        """Move one rollout. For a link, move the file that it leads to, since the link could break at its new place."""
        full = inside(self._home, target, ACTIVE, ARCHIVED)
        with writing(target, missing=path):
            if source.exists() or not full.exists():
                durable.move(source.resolve(strict=True) if source.is_symlink() else source, full)
            if source.is_symlink():
                durable.remove(source)
            return rollout_file(target, full.stat())

    def foreseen(self, paths: Sequence[str], folder: str) -> list[RolloutRef | StoreFailure]:
        """The results that `many` would have, as far as they can be foreseen. Changes nothing."""
        results: list[RolloutRef | StoreFailure] = []
        for path in paths:
            try:
                target = archived_path(path) if folder == ACTIVE else active_path(path)
                results.append(self._foreseen_one(path, inside(self._home, path, folder), target))
            except StoreFailure as error:
                results.append(error)
        return results

    def _foreseen_one(self, path: str, source: Path, target: str) -> RolloutRef:
        full = inside(self._home, target, ACTIVE, ARCHIVED)
        with writing(target, missing=path):
            if not source.exists():
                return rollout_file(target, full.stat())
            if os.path.lexists(full) and not (durable.same_file(source, full) or durable.same_content(source, full)):
                raise FileExistsError(target)
            for touched in (source, full):
                durable.check_writable(touched.parent)
            return rollout_file(target, source.stat())

    def remove(self, path: str, dry_run: bool = False) -> None:
        """`Rollouts.remove`."""
        full = inside(self._home, path, ACTIVE, ARCHIVED)
        with writing(path):
            if dry_run:
                durable.check_writable(full.parent)
            else:
                if full.is_symlink():  # what it leads to is the thread
                    durable.remove(full.resolve())
                durable.remove(full)

    def many(self, paths: Sequence[str], folder: str) -> list[RolloutRef | StoreFailure]:
        """Move these rollouts out of the folder. Regular files are moved together, anything else (a link, a file that
        is gone) one by one."""
        checked = ManyInside(self._home)
        move_one, target_of = (self._archive, archived_path) if folder == ACTIVE else (self._unarchive, active_path)
        results: dict[str, RolloutRef | StoreFailure] = {}
        moves: dict[str, tuple[str, str, str]] = {}
        for path in paths:
            try:
                target = target_of(path)
                source, full = checked.full(path, folder), checked.full(target, ACTIVE, ARCHIVED)
                stat = _regular(source)
                if stat is None:
                    results[path] = move_one(path)
                    continue
                if folder == ARCHIVED and not os.path.lexists(full):
                    stat = _touch(path, source)
                # A write before the move leaves another stamp than this one, so it will be noticed.
                results[path] = rollout_file(target, stat)
                moves[path] = (target, source, full)
            except StoreFailure as error:
                results[path] = error
        outcomes = durable.move_many([(source, full) for _, source, full in moves.values()])
        for (path, (target, _, _)), outcome in zip(moves.items(), outcomes, strict=True):
            try:
                if isinstance(outcome, FileExistsError):  # it may be a link, which is handled alone
                    results[path] = move_one(path)
                elif outcome is not None:
                    with writing(target, missing=path):
                        raise outcome
            except StoreFailure as error:
                results[path] = error
        return [results[path] for path in paths]


def _regular(full: str) -> os.stat_result | None:
    """The stat of a regular file; None for a link, anything else or nothing."""
    try:
        stat = os.lstat(full)
    except OSError:
        return None
    return stat if S_ISREG(stat.st_mode) else None


def _touch(path: str, source: Path | str) -> os.stat_result:
    """Set the mtime to now. Before the move, so that repeating an interrupted move does not set it again."""
    with writing(path):
        now = time.time_ns()
        os.utime(source, ns=(now, now))
        return os.stat(source)


def rollout_file(path: str, stat: os.stat_result) -> RolloutRef:
    return RolloutRef(path, stamp_of(stat))
