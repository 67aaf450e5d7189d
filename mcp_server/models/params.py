"""The parameters of each verb, after the tool has checked their shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mcp_server.models.thread import (
    ApprovalPolicy,
    ReasoningEffort,
    SandboxMode,
    SortDirection,
    SourceKind,
    ThreadSortKey,
    TurnState,
)
from mcp_server.models.turn import ItemsView

SearchOrder = Literal["time", "rank"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    `connection` is None if the call belongs to none whose end the server notices. `thread_names` are names of the
    thread that the caller acts for, the most trusted first; this home may not know them.
    """

    client_name: str = "unknown"
    client_version: str = ""
    connection: str | None = None
    thread_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SettingsRequest:
    """Settings that a request names. None leaves the choice to the next source of settings."""

    cwd: str | None = None
    model: str | None = None
    model_provider: str | None = None
    approval_policy: ApprovalPolicy | None = None
    sandbox: SandboxMode | None = None
    reasoning_effort: ReasoningEffort | None = None


@dataclass(frozen=True, slots=True)
class StartParams:
    settings: SettingsRequest = field(default_factory=SettingsRequest)
    base_instructions: str | None = None
    developer_instructions: str | None = None
    name: str | None = None
    ephemeral: bool = False
    parent_thread_id: str | None = None
    agent_nickname: str | None = None
    agent_role: str | None = None


@dataclass(frozen=True, slots=True)
class ForkParams:
    thread_id: str
    settings: SettingsRequest = field(default_factory=SettingsRequest)
    last_turn_id: str | None = None
    before_turn_id: str | None = None
    ephemeral: bool = False
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ThreadFilter:
    """The filters of list and search. `source_kinds` None means all but sub-agents, and all if the filter names a tree
    or threads. `since` and `until` are texts that `moment` reads. A `cwd` stands for all that lies below it, too.
    `loaded` are the threads that this server has loaded.

    A thread has no preview if its first message is an attachment or blank, or if the agent spoke first."""

    archived: bool = False
    model_providers: Sequence[str] | None = None
    source_kinds: Sequence[SourceKind] | None = None
    cwd: Sequence[str] | None = None
    search_term: str | None = None
    parent_thread_id: str | None = None
    ancestor_thread_id: str | None = None
    attached_to_thread_id: str | None = None
    include_attached_threads: bool = False
    thread_ids: Sequence[str] | None = None
    section_id: str | None = None
    tags: Sequence[str] | None = None
    since: str | None = None
    until: str | None = None
    named: bool | None = None
    last_turn: Sequence[TurnState] | None = None
    loaded: bool = False
    include_without_preview: bool = False

    @property
    def names_threads(self) -> bool:
        """Whether the filter names certain threads, which may be of any kind."""
        trees = self.parent_thread_id, self.ancestor_thread_id, self.attached_to_thread_id
        return self.loaded or (*trees, self.thread_ids, self.section_id, self.tags) != (None,) * 6


@dataclass(frozen=True, slots=True)
class ListParams:
    filter: ThreadFilter = field(default_factory=ThreadFilter)
    sort_key: ThreadSortKey = "recency_at"
    sort_direction: SortDirection = "desc"
    cursor: str | None = None
    limit: int = 25
    count_sub_agents: bool = False


@dataclass(frozen=True, slots=True)
class ReadParams:
    """`include_turns` None: with turns where there are some to show."""

    thread_id: str
    include_turns: bool | None = None
    items_view: ItemsView = "summary"
    sort_direction: SortDirection = "desc"
    cursor: str | None = None
    limit: int = 25


@dataclass(frozen=True, slots=True)
class ItemsParams:
    """Of each long text, the answer has `max_chars` characters from `text_offset` on."""

    thread_id: str
    turn_id: str | None = None
    item_id: str | None = None
    sort_direction: SortDirection = "asc"
    cursor: str | None = None
    limit: int = 25
    text_offset: int = 0
    max_chars: int = 4_000


@dataclass(frozen=True, slots=True)
class OutlineParams:
    thread_id: str
    cursor: str | None = None
    limit: int = 50


StatsGroup = Literal["day", "cwd", "model", "agent", "tag", "status"]


@dataclass(frozen=True, slots=True)
class StatsParams:
    """Of the filter, `archived` None stands for both. The rows beyond `limit` are summed up."""

    filter: ThreadFilter = field(default_factory=ThreadFilter)
    group_by: StatsGroup = "day"
    archived: bool | None = None
    limit: int = 25


@dataclass(frozen=True, slots=True)
class SearchParams:
    search_term: str
    filter: ThreadFilter = field(default_factory=ThreadFilter)
    thread_id: str | None = None
    include_tool_calls: bool = False
    sort_by: SearchOrder = "rank"
    cursor: str | None = None
    limit: int = 25


GitField = Literal["sha", "branch", "origin_url"]


@dataclass(frozen=True, slots=True)
class GitPatch:
    """Git fields to set. None clears a field; a field that is not in `fields` stays."""

    fields: dict[GitField, str | None]


@dataclass(frozen=True, slots=True)
class ThreadPatch:
    """What to change of a thread; None leaves a part as it is. `tags` replace all that it has."""

    name: str | None = None
    git: GitPatch | None = None
    tags: Sequence[str] | None = None

    @property
    def parts(self) -> int:
        """How many parts it changes."""
        return sum(part is not None for part in (self.name, self.git, self.tags))


ExportFormat = Literal["markdown", "html", "bundle", "atif"]


@dataclass(frozen=True, slots=True)
class ExportParams:
    """`redact`: mask what looks like a secret."""

    thread_id: str
    format: ExportFormat = "markdown"
    redact: bool = False


@dataclass(frozen=True, slots=True)
class ImportParams:
    """`folders`: old working directories, each with its new place."""

    folders: Sequence[tuple[str, str]] = ()
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class EventsParams:
    """`until` "turn_end": wait until no turn runs in the thread."""

    after: int | Literal["now"] = 0
    thread_id: str | None = None
    ancestor_thread_id: str | None = None
    until: Literal["turn_end"] | None = None
    types: Sequence[str] | None = None
    wait_seconds: float = 0.0
    limit: int = 25


UserInput = list[dict[str, Any]]
"""A user message in Codex's input form: parts of type text, image, localImage, skill or mention."""
