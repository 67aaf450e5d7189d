"""Describes the thread of a rollout, and reads as few bytes as possible for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from mcp_server.codex.files import Description, RolloutRef
from mcp_server.codex.lines import RawLine
from mcp_server.codex.metadata import MetadataBuilder, starts_turn
from mcp_server.errors import DamagedRollout, StoreFailure
from mcp_server.models.history_base import HistoryBase
from mcp_server.models.value import Json
from mcp_server.storage.rollout_text import RolloutText

MAX_BASES = 32

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """How much of a rollout is read, in bytes. Names and git states recorded between head and tail are missed."""

    whole: int = 8 << 20
    """A rollout up to this size is read whole."""
    head: int = 4 << 20
    """The head of a longer one is read until the preview is known, but no further than this."""
    tail: int = 1 << 20
    """The tail has this size at first, and grows until a turn starts in it."""
    longest_tail: int = 256 << 20
    """The tail grows no longer than this."""


PARTS = Parts()

OpenBase = Callable[[str], RolloutText | None]
"""Opens the rollout with an id; None if the home has none."""


def describe(file: RolloutRef, text: RolloutText, open_base: OpenBase, parts: Parts = PARTS) -> Description:
    """The thread that a rollout holds. A fork by `history_base` takes preview and settings from its base first.

    Raises:
        DamagedRollout: empty, unreadable, or without session metadata at the start.
    """
    try:
        builder = _read(text, text.size, parts)
        meta, _ = builder.identity
        borrowed = _borrowed(meta.history_base, open_base, parts)
        return Description(builder.thread(file, *borrowed), tuple(builder.bad_lines))
    except StoreFailure:
        raise
    except Exception as error:
        logger.exception("Could not parse %s", file.path)
        raise DamagedRollout(file.path, f"can't be parsed: {error!r}") from error


def _borrowed(base: HistoryBase | None, open_base: OpenBase, parts: Parts, depth: int = 0) -> tuple[str, Json]:
    """The preview and the settings that a fork borrows. A missing or damaged base lends nothing."""
    if base is None or depth == MAX_BASES:
        return "", {}
    try:
        text = open_base(base.thread_id)
        if text is None:
            return "", {}
        with text:
            builder = _read(text, base.end_byte_offset or text.size, parts)
            meta, _ = builder.identity
    except StoreFailure:
        return "", {}
    preview, recorded = _borrowed(meta.history_base, open_base, parts, depth + 1)
    return preview or builder.preview, recorded | builder.recorded


def _read(text: RolloutText, end: int | None, parts: Parts) -> MetadataBuilder:
    """Build metadata from the lines before `end`. A compressed rollout is read whole."""
    builder = MetadataBuilder(text.path, text.bounds)
    if text.size is not None and end is not None:
        end = min(end, text.size)
    if text.size is None or end is None or end <= parts.whole:
        for batch in text.batches(0, end):
            builder.take(batch)
        return builder
    head_end = 0
    for batch in text.batches(0, min(end, parts.head + text.bounds.line_bytes)):
        builder.take(batch)
        head_end = max((raw.end for raw in batch if raw.whole), default=head_end)
        if builder.has_identity and (builder.preview or head_end >= parts.head):
            break
    if builder.has_identity and not builder.is_bare:  # all metadata of a bare rollout stands at its head
        _read_tail(builder, text, head_end, end, parts)
    return builder


def _read_tail(builder: MetadataBuilder, text: RolloutText, floor: int, end: int, parts: Parts) -> None:
    """Take the last lines of `[floor, end)`, from the start of a turn on if there is one. They are read twice instead
    of being kept in memory, since the tail may be long."""
    window = parts.tail
    while (start := max(floor, end - window)) > floor and window < parts.longest_tail:
        if any(starts_turn(raw) for raw in _lines(text, start, end, torn=True)):
            break
        window *= 4
    for raw in _lines(text, start, end, torn=start > floor):
        builder.take([raw])


def _lines(text: RolloutText, start: int, end: int, *, torn: bool) -> Iterator[RawLine]:
    """The lines in `[start, end)`. If the bytes may begin within a line (`torn`), the first line is left out."""
    lines = (raw for batch in text.batches(start, end) for raw in batch)
    return islice(lines, 1 if torn else 0, None)
