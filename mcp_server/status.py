"""The answer of `store_status`: how index and files of a home differ."""

from __future__ import annotations

import platform
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict

from mcp_server.codex.files import RolloutRef
from mcp_server.config import Config, package_version
from mcp_server.models.results import BadLineInfo, LockInfo, SizeInfo, StatusResult
from mcp_server.storage.files.locks import holder_sentence
from mcp_server.sync.doctor import DoctorReport

# `counts` counts everything; each list names at most this many.
_LISTED = 200
_DEEP_FILES = 2_000
_DEEP_BYTES = 64 << 20


def status_of(
    config: Config, report: DoctorReport, loaded: int, histories: dict[str, int], repaired: dict[str, int] | None
) -> StatusResult:
    held = dict.fromkeys(report.held, "this server")
    foreign = {thread_id: holder_sentence(holder) for thread_id, holder in report.foreign.items()}
    return StatusResult(
        home=str(config.home),
        versions={
            "threadstore": package_version(),
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
        },
        state_db=str(config.state_path) if report.rows is not None else None,
        backfill=asdict(report.backfill) if report.backfill else {"status": "none"},
        counts=report.counts(),
        missing=list(report.missing)[:_LISTED],
        stale=[f"{row.thread_id} {row.reason}: {row.path}" for row in report.stale[:_LISTED]],
        duplicates=[f"{i}: {', '.join(paths)}" for i, paths in list(report.duplicates.items())[:_LISTED]],
        malformed=[BadLineInfo(path=b.path, offset=b.offset, reason=b.reason) for b in report.malformed[:_LISTED]],
        locks=[LockInfo(thread_id=i, holder=who) for i, who in sorted({**held, **foreign}.items())[:_LISTED]],
        histories=histories,
        loaded=loaded,
        largest=[SizeInfo(thread_id=i, bytes=size) for i, size in report.largest.items()],
        repaired=repaired,
    )


def is_small(files: Iterable[RolloutRef]) -> bool:
    """Whether the files are few and small enough to read every line for each status."""
    size = 0
    for number, file in enumerate(files, start=1):
        size += file.stamp.size
        if number > _DEEP_FILES or size > _DEEP_BYTES:
            return False
    return True
