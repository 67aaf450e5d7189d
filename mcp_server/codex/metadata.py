"""A thread's metadata, built from the lines of its rollout by the rules of Codex's own indexer.

Decoding costs most, so only lines whose beginning says that they may hold metadata are decoded.
"""

from __future__ import annotations

import re

from mcp_server.codex.bounds import ReadingBounds
from mcp_server.codex.fields import mapping_of, mappings_of, part_texts, text_of
from mcp_server.codex.files import BadLine, RolloutRef, add_bad_line
from mcp_server.codex.last_turn import COMPLETIONS, ENDS, LastTurnReader
from mcp_server.codex.lines import (
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
from mcp_server.errors import DamagedRollout
from mcp_server.models.thread import GitInfo, StoredThread, spawn_parent
from mcp_server.models.value import Json

_SPAWN = ("subagent", "thread_spawn")
_TURN_STARTS = {b"task_started", b"turn_started"}
_EVENTS = _TURN_STARTS | {b"user_message", b"thread_settings_applied", b"thread_name_updated", b"thread_rolled_back"}
_head = re.compile(
    rb'\s*\{\s*"timestamp"\s*:\s*"[^"]*"\s*,\s*(?:"ordinal"\s*:\s*\d+\s*,\s*)?"type"\s*:\s*"(\w+)"\s*,'
    rb'\s*"payload"\s*:\s*\{\s*(?:"type"\s*:\s*"(\w+)")?'
)


def may_hold_metadata(data: bytes) -> bool:
    """Whether a line could hold metadata. A line in another layout than Codex's could."""
    return _may_hold_metadata(_head.match(data), data)


def _may_hold_metadata(match: re.Match[bytes] | None, data: bytes) -> bool:
    if match is None:
        return True
    kind, event = match.groups()
    if kind != b"event_msg":
        return kind in (b"session_meta", b"turn_context")
    return event is None or event in _EVENTS or (event == b"item_completed" and b'"UserMessage"' in data)


def starts_turn(raw: RawLine) -> bool:
    """Whether a turn begins with this line."""
    match = None if raw.cut else _head.match(raw.data)
    return match is not None and match[2] in _TURN_STARTS


class MetadataBuilder:
    """Takes the lines of one rollout, in order. Lines in the middle may be left out. `recorded` are the settings that
    were recorded last, in the form of `Settings`."""

    def __init__(self, path: str, bounds: ReadingBounds) -> None:
        self.path, self._bounds = path, bounds
        self.preview = ""
        self.name: str | None = None
        self.git: GitInfo | None = None
        self.recorded: Json = {}
        self.context_cwd = ""
        self.turn_started_ms: int | None = None
        self.last_message_ms: int | None = None
        self.bad_lines = list[BadLine]()
        self._last_turn = LastTurnReader()
        self._identity: tuple[SessionMeta, str] | None = None

    @property
    def has_identity(self) -> bool:
        return self._identity is not None

    @property
    def identity(self) -> tuple[SessionMeta, str]:
        """The session metadata, and the thread id in its usual form.

        Raises:
            DamagedRollout: none of the lines taken so far can be read.
        """
        if self._identity is None:
            raise DamagedRollout(self.path, "is empty" if not self.bad_lines else "holds no readable line")
        return self._identity

    @property
    def is_bare(self) -> bool:
        """Whether the rollout is from before September 2025."""
        return self._identity is not None and self._identity[0].history_mode == BARE

    def take(self, batch: list[RawLine]) -> None:
        """Take the next lines.

        Raises:
            DamagedRollout: the first line that can be read is no session metadata.
        """
        bounds = self._bounds
        for raw in batch:
            if self._identity is not None and not raw.cut:
                match = _head.match(raw.data)
                if match is not None and match[1] == b"event_msg" and match[2] in ENDS and raw.whole:
                    self._last_turn.end(raw, completes=match[2] in COMPLETIONS)
                    continue
                if not _may_hold_metadata(match, raw.data):
                    continue
            problems: list[str] = []
            try:
                line = decode_raw(raw, bounds) if self._identity else decode_first(raw, problems, bounds)
            except MalformedLine as error:
                if raw.whole or raw.cut:  # a torn last line is an unfinished write, not damage
                    add_bad_line(self.bad_lines, BadLine(self.path, raw.offset, str(error)), bounds)
                continue
            if self._identity is None:
                self._identity = self._begin(line, raw.offset, problems)
                self.bad_lines += [
                    BadLine(self.path, raw.offset, f"session metadata: {problem}") for problem in problems
                ]
            self._apply(line)

    def thread(self, file: RolloutRef, base_preview: str, base_recorded: Json) -> StoredThread:
        """The thread that the rollout holds. A fork by `history_base` borrows preview and settings from its base; its
        own settings come after those.

        Raises:
            DamagedRollout: none of the lines taken so far can be read.
        """
        meta, thread_id = self.identity
        mtime_ms = file.stamp.mtime_ns // 1_000_000
        name_ms = name_time_ms(file.path.rpartition("/")[2])
        created_ms = recorded_time_ms(meta.timestamp) or name_ms or mtime_ms
        return StoredThread(
            id=thread_id,
            path=file.path,
            stamp=file.stamp,
            archived=file.archived,
            created_at_ms=created_ms,
            updated_at_ms=mtime_ms,
            recency_at_ms=self.turn_started_ms or self.last_message_ms or created_ms,
            archived_at_ms=mtime_ms if file.archived else None,
            session_id=_usual_form(meta.session_id),
            parent_thread_id=_usual_form(meta.parent_thread_id) or _usual_form(spawn_parent(meta.source)),
            forked_from_id=_usual_form(meta.forked_from_id),
            preview=base_preview or self.preview,
            name=self.name,
            source="vscode" if meta.source is None else meta.source,
            thread_source=meta.thread_source,
            agent_nickname=meta.agent_nickname or text_of(meta.source, *_SPAWN, "agent_nickname") or None,
            agent_role=meta.agent_role or text_of(meta.source, *_SPAWN, "agent_role") or None,
            model_provider=meta.model_provider or "",
            cwd=meta.cwd or self.context_cwd,
            cli_version=meta.cli_version,
            originator=meta.originator or None,
            history_mode=meta.history_mode,
            history_base=meta.history_base,
            git=self.git,
            recorded=base_recorded | self.recorded,
            attached_to_id=_attached_to(meta),
            last_turn=self._last_turn.result(),
        )

    def _begin(self, line: RolloutLine, offset: int, problems: list[str]) -> tuple[SessionMeta, str]:
        if line.type in ("response_item", "state") and not line.timestamp:  # an old rollout that lost its first line
            if (named := thread_id_of(self.path.rpartition("/")[2])) is None:
                reason = "is in the format of before September 2025, and its name has no thread id"
                raise DamagedRollout(self.path, reason, offset)
            return SessionMeta(named, source="cli", history_mode=BARE), named
        try:
            meta = decode_meta(line.payload, problems) if line.type == "session_meta" else None
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
                self._last_turn.start(payload)
            case _, "task_complete" | "turn_complete" | "turn_aborted":  # in another layout than Codex's
                self._last_turn.end(line, completes=line.event != "turn_aborted")
            case _, "thread_rolled_back" if self.identity[0].history_mode != "paginated":
                self._last_turn.roll_back()
            case _, "thread_name_updated":
                self.name = (text_of(payload, "thread_name") or "").strip() or self.name
            case "response_item", _ if self.is_bare:
                self.context_cwd = self.context_cwd or recorded_cwd(payload)
                if parts := said_by_user(payload):
                    self._user_parts(line, parts)
            case _, "user_message":
                images = bool(payload.get("images") or payload.get("local_images"))
                self._user_message(line, text_of(payload, "message") or "", images)
            case _, "item_completed":
                if text_of(payload, "item", "type") == "UserMessage":
                    self._user_parts(line, mappings_of(payload, "item", "content"))
            case _:
                pass

    def _update_git(self, payload: Json) -> None:
        """A later line with the same id updates git. A line with another id was copied from the source of a fork."""
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

    def _user_parts(self, line: RolloutLine, parts: list[Json]) -> None:
        text = "".join(part_texts([part for part in parts if part.get("type") == "text"]))
        self._user_message(line, text, any("image" in (text_of(part, "type") or "").lower() for part in parts))

    def _user_message(self, line: RolloutLine, text: str, images: bool) -> None:
        self.last_message_ms = recorded_time_ms(line.timestamp) or self.last_message_ms
        self._last_turn.message()
        if not self.preview:
            self.preview = preview_of(text, images)


def _settings(payload: Json) -> Json:
    """The settings of a `turn_context`, or of applied settings, in the form of `Settings`."""
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
    return _usual_form(meta.forked_from_id or (meta.history_base.thread_id if meta.history_base else None))


def _usual_form(thread_id: str | None) -> str | None:
    """The id in lower case with hyphens. A text that is no UUID stays as it is."""
    return parse_id(thread_id) or thread_id
