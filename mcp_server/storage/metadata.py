"""Metadata of a thread, folded from the lines of its rollout, as Codex's own indexer does. Blocking.

Decoding is what costs: only lines whose head says that they could matter are decoded.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from itertools import islice

from mcp_server.codex.fields import mapping_of, mappings_of, part_texts, text_of
from mcp_server.codex.files import BadLine, Description, RolloutFile, add_bad_line
from mcp_server.codex.lines import (
    MAX_LINE_BYTES,
    MalformedLine,
    RawLine,
    RolloutLine,
    SessionMeta,
    decode_first,
    decode_meta,
    decode_raw,
)
from mcp_server.codex.messages import preview_of, recorded_cwd, said_by_user
from mcp_server.codex.old_rollout import BARE
from mcp_server.codex.paths import name_time_ms, parse_id, recorded_time_ms, thread_id_of
from mcp_server.codex.sandbox import sandbox_from_rollout
from mcp_server.errors import DamagedRollout, StoreFailure
from mcp_server.models.history_base import HistoryBase
from mcp_server.models.thread import GitInfo, StoredThread, spawn_parent
from mcp_server.models.value import Json
from mcp_server.storage.rollout_text import RolloutText

# Up to this size a rollout is read whole. Beyond it: the head until the preview is known, but no further than
# HEAD_BYTES, and a tail that begins with TAIL_BYTES and grows until a turn starts in it, or to MOST_TAIL_BYTES. Names
# and git states that were recorded in between are not seen then.
WHOLE_READ_BYTES = 8 << 20
HEAD_BYTES = 4 << 20
TAIL_BYTES = 1 << 20
MOST_TAIL_BYTES = 256 << 20
MAX_BASES = 32

_SPAWN = ("subagent", "thread_spawn")
_TURN_STARTS = {b"task_started", b"turn_started"}
_EVENTS = _TURN_STARTS | {b"user_message", b"thread_settings_applied", b"thread_name_updated"}
_head = re.compile(
    rb'\s*\{\s*"timestamp"\s*:\s*"[^"]*"\s*,\s*(?:"ordinal"\s*:\s*\d+\s*,\s*)?"type"\s*:\s*"(\w+)"\s*,'
    rb'\s*"payload"\s*:\s*\{\s*(?:"type"\s*:\s*"(\w+)")?'
)

logger = logging.getLogger(__name__)

OpenBase = Callable[[str], RolloutText | None]
"""Opens the rollout with an id; None if the home has none."""


def describe(file: RolloutFile, text: RolloutText, open_base: OpenBase) -> Description:
    """The thread that a rollout holds. A fork by `history_base` takes preview and settings from its base first.

    Raises:
        DamagedRollout: empty, unreadable, or without session metadata at the start.
    """
    try:
        return _described(file, text, open_base)
    except StoreFailure:
        raise
    except Exception as error:
        logger.exception("%s is not understood", file.path)
        raise DamagedRollout(file.path, f"is not understood: {error!r}") from error


def _described(file: RolloutFile, text: RolloutText, open_base: OpenBase) -> Description:
    fold = _fold(text, text.size)
    meta, thread_id = fold.identity
    preview, recorded = _borrowed(meta.history_base, open_base)
    mtime_ms = file.stamp.mtime_ns // 1_000_000
    name_ms = name_time_ms(file.path.rsplit("/", 1)[-1])
    created_ms = recorded_time_ms(meta.timestamp) or name_ms or mtime_ms
    recorded.update(fold.recorded)
    thread = StoredThread(
        id=thread_id,
        path=file.path,
        stamp=file.stamp,
        archived=file.archived,
        created_at_ms=created_ms,
        updated_at_ms=mtime_ms,
        recency_at_ms=fold.turn_started_ms or fold.last_message_ms or created_ms,
        archived_at_ms=mtime_ms if file.archived else None,
        session_id=_normal(meta.session_id),
        parent_thread_id=_normal(meta.parent_thread_id) or _normal(spawn_parent(meta.source)),
        forked_from_id=_normal(meta.forked_from_id),
        preview=preview or fold.preview,
        name=fold.name,
        source="vscode" if meta.source is None else meta.source,
        thread_source=meta.thread_source,
        agent_nickname=meta.agent_nickname or text_of(meta.source, *_SPAWN, "agent_nickname") or None,
        agent_role=meta.agent_role or text_of(meta.source, *_SPAWN, "agent_role") or None,
        model_provider=meta.model_provider or "",
        cwd=meta.cwd or fold.context_cwd,
        cli_version=meta.cli_version,
        originator=meta.originator or None,
        history_mode=meta.history_mode,
        history_base=meta.history_base,
        git=fold.git,
        recorded=recorded,
        attached_to_id=_attached_to(meta),
    )
    return Description(thread, tuple(fold.bad_lines))


def _borrowed(base: HistoryBase | None, open_base: OpenBase, depth: int = 0) -> tuple[str, Json]:
    """Preview and settings of what a fork borrows. A base that is missing or damaged lends nothing."""
    if base is None or depth == MAX_BASES:
        return "", {}
    try:
        text = open_base(base.thread_id)
        if text is None:
            return "", {}
        with text:
            fold = _fold(text, base.end_byte_offset or text.size)
            meta, _ = fold.identity
    except StoreFailure:
        return "", {}
    preview, recorded = _borrowed(meta.history_base, open_base, depth + 1)
    return preview or fold.preview, {**recorded, **fold.recorded}


# ---------------------------------------------------------------------------------------------- reading


def _fold(text: RolloutText, end: int | None) -> _Fold:
    """Fold the lines before `end`; see the bounds above. What is compressed is read whole."""
    fold = _Fold(text.path)
    if text.size is not None and end is not None:
        end = min(end, text.size)
    if text.size is None or end is None or end <= WHOLE_READ_BYTES:
        for batch in text.batches(0, end):
            fold.take(batch)
        return fold
    head_end = 0
    for batch in text.batches(0, min(end, HEAD_BYTES + MAX_LINE_BYTES)):
        fold.take(batch)
        head_end = max((raw.end for raw in batch if raw.whole), default=head_end)
        if fold.knows_identity and (fold.preview or head_end >= HEAD_BYTES):
            break
    if fold.knows_identity and not fold.is_bare:  # what a bare one records of itself stands at its head
        _take_tail(fold, text, head_end, end)
    return fold


def _take_tail(fold: _Fold, text: RolloutText, floor: int, end: int) -> None:
    """Fold the lines at the end of `[floor, end)`, a turn's start among them if there is one. They are read twice, and
    never held: there may be any number of them before it."""
    window = TAIL_BYTES
    while (start := max(floor, end - window)) > floor and window < MOST_TAIL_BYTES:
        if any(_starts_turn(raw) for raw in _lines(text, start, end, torn=True)):
            break
        window *= 4
    for raw in _lines(text, start, end, torn=start > floor):
        fold.take([raw])


def _lines(text: RolloutText, start: int, end: int, *, torn: bool) -> Iterator[RawLine]:
    """The lines in `[start, end)`. The first is left out if it may be `torn`, since the bytes begin within it."""
    lines = (raw for batch in text.batches(start, end) for raw in batch)
    return islice(lines, 1 if torn else 0, None)


def may_matter(data: bytes) -> bool:
    """Whether a line could hold metadata. A line that is not laid out as Codex does could."""
    match = _head.match(data)
    if match is None:
        return True
    kind, event = match.groups()
    if kind != b"event_msg":
        return kind in (b"session_meta", b"turn_context")
    return event is None or event in _EVENTS or (event == b"item_completed" and b'"UserMessage"' in data)


def _starts_turn(raw: RawLine) -> bool:
    match = None if raw.cut else _head.match(raw.data)
    return match is not None and match[2] in _TURN_STARTS


# ---------------------------------------------------------------------------------------------- folding


class _Fold:
    """What the lines so far have told (Codex: the rules by which rollout items are applied to a thread's row)."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.preview = ""
        self.name: str | None = None
        self.git: GitInfo | None = None
        self.recorded: Json = {}
        self.context_cwd = ""
        self.turn_started_ms: int | None = None
        self.last_message_ms: int | None = None
        self.bad_lines = list[BadLine]()
        self._identity: tuple[SessionMeta, str] | None = None

    @property
    def knows_identity(self) -> bool:
        return self._identity is not None

    @property
    def identity(self) -> tuple[SessionMeta, str]:
        if self._identity is None:
            raise DamagedRollout(self.path, "is empty" if not self.bad_lines else "holds no readable line")
        return self._identity

    @property
    def is_bare(self) -> bool:
        return self._identity is not None and self._identity[0].history_mode == BARE

    def take(self, batch: list[RawLine]) -> None:
        for raw in batch:
            if self._identity is not None and not raw.cut and not may_matter(raw.data):
                continue
            said: list[str] = []
            try:
                line = decode_raw(raw) if self._identity else decode_first(raw, said)
            except MalformedLine as error:
                if raw.whole or raw.cut:  # a torn tail is a write that did not finish, no damage
                    add_bad_line(self.bad_lines, BadLine(self.path, raw.offset, str(error)))
                continue
            if self._identity is None:
                self._identity = self._begin(line, raw.offset, said)
                self.bad_lines += [BadLine(self.path, raw.offset, f"session metadata: {what}") for what in said]
            self._apply(line)

    def _begin(self, line: RolloutLine, offset: int, said: list[str]) -> tuple[SessionMeta, str]:
        if line.type in ("response_item", "state") and not line.timestamp:  # of a bare rollout whose first line is lost
            if (named := thread_id_of(self.path.rpartition("/")[2])) is None:
                reason = "is in the format of before September 2025, and tells no thread id"
                raise DamagedRollout(self.path, reason, offset)
            return SessionMeta(named, source="cli", history_mode=BARE), named
        try:
            meta = decode_meta(line.payload, said) if line.type == "session_meta" else None
        except MalformedLine as error:
            raise DamagedRollout(self.path, f"does not start with session metadata: {error}", offset) from error
        thread_id = parse_id(meta.id) if meta else None
        if meta is None or thread_id is None:
            raise DamagedRollout(self.path, "does not start with session metadata", offset)
        return meta, thread_id

    def _apply(self, line: RolloutLine) -> None:
        payload = line.payload
        match line.type, line.event:
            case "session_meta", _:
                self._update_git(payload)
            case "turn_context", _:
                self.recorded.update(_settings(payload))
                self.context_cwd = self.context_cwd or text_of(payload, "cwd") or ""
            case _, "thread_settings_applied":
                self.recorded.update(_settings(mapping_of(payload, "thread_settings")))
            case _, "task_started" | "turn_started":
                self.turn_started_ms = recorded_time_ms(line.timestamp) or self.turn_started_ms
            case _, "thread_name_updated":
                self.name = (text_of(payload, "thread_name") or "").strip() or self.name
            case "response_item", _ if self.is_bare:
                self.context_cwd = self.context_cwd or recorded_cwd(payload)
                if parts := said_by_user(payload):
                    self._said(line, parts)
            case _, "user_message":
                images = bool(payload.get("images") or payload.get("local_images"))
                self._user_message(line, text_of(payload, "message") or "", images)
            case _, "item_completed":
                if text_of(payload, "item", "type") == "UserMessage":
                    self._said(line, mappings_of(payload, "item", "content"))
            case _:
                pass

    def _update_git(self, payload: Json) -> None:
        """A later line with the same id updates git; one with another id was copied from a fork's source."""
        _, thread_id = self.identity
        if payload.get("git") is None or parse_id(payload.get("id")) != thread_id:
            return
        git = payload["git"]
        info = GitInfo(
            sha=text_of(git, "commit_hash") or None,
            branch=text_of(git, "branch") or None,
            origin_url=text_of(git, "repository_url") or None,
        )
        self.git = info if info != GitInfo() else None

    def _said(self, line: RolloutLine, parts: list[Json]) -> None:
        text = "".join(part_texts([part for part in parts if part.get("type") == "text"]))
        self._user_message(line, text, any("image" in (text_of(part, "type") or "").lower() for part in parts))

    def _user_message(self, line: RolloutLine, text: str, images: bool) -> None:
        self.last_message_ms = recorded_time_ms(line.timestamp) or self.last_message_ms
        if not self.preview:
            self.preview = preview_of(text, images)


def _settings(payload: Json) -> Json:
    """What a `turn_context` or applied settings say, in the form of `Settings`."""
    found = {key: payload[key] for key in ("model", "cwd") if text_of(payload, key)}
    if provider := text_of(payload, "model_provider_id"):
        found["model_provider"] = provider
    if payload.get("approval_policy") is not None:
        found["approval_policy"] = payload["approval_policy"]
    if payload.get("sandbox_policy") is not None:
        found["sandbox"] = sandbox_from_rollout(payload["sandbox_policy"])
    elif text_of(payload, "permission_profile", "type") == "disabled":
        found["sandbox"] = sandbox_from_rollout("danger-full-access")
    if found:
        paths = (("effort",), ("reasoning_effort",), ("collaboration_mode", "settings", "reasoning_effort"))
        found["reasoning_effort"] = next((effort for path in paths if (effort := text_of(payload, *path))), None)
    return found


def _attached_to(meta: SessionMeta) -> str | None:
    """The thread that this one is attached to (Codex: `attachToSource` of a fork)."""
    if meta.attached_thread is not True:
        return None
    return _normal(meta.forked_from_id or (meta.history_base.thread_id if meta.history_base else None))


def _normal(thread_id: str | None) -> str | None:
    return parse_id(thread_id) or thread_id
