"""A thread: its metadata as stored, and as clients see it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from mcp_server.models.history_base import HistoryBase
from mcp_server.models.turn import TurnStatus
from mcp_server.models.value import DETAIL, SECONDS, Value, about

SourceKind = Literal[
    "cli",
    "vscode",
    "exec",
    "appServer",
    "subAgent",
    "subAgentReview",
    "subAgentCompact",
    "subAgentThreadSpawn",
    "subAgentOther",
    "unknown",
]
SUB_AGENT_KINDS: tuple[SourceKind, ...] = (
    "subAgentReview",
    "subAgentCompact",
    "subAgentThreadSpawn",
    "subAgentOther",
)

ApprovalPolicy = Literal["untrusted", "on-failure", "on-request", "never"]
SandboxMode = Literal["read-only", "workspace-write", "danger-full-access"]
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra"]
TurnState = Literal["completed", "failed", "interrupted", "running", "crashed"]
"""How the last turn of a thread stands: `running` while some process holds the thread, `crashed` if none does."""
ThreadSortKey = Literal["created_at", "updated_at", "recency_at"]
SortDirection = Literal["asc", "desc"]


class GitInfo(Value):
    sha: Annotated[str | None, about("Commit hash")] = None
    branch: Annotated[str | None, about("Branch name")] = None
    origin_url: Annotated[str | None, about("URL of the remote")] = None


class Section(Value):
    """A heading under which Codex's own interface keeps threads; `Pinned` is one."""

    id: Annotated[str, about("Section id")]
    name: Annotated[str, about("Its name")]


class ThreadStatus(Value):
    """Codex's ThreadStatus: `active` while a turn runs, `notLoaded` for anything this server doesn't hold."""

    type: Annotated[Literal["notLoaded", "idle", "active", "systemError"], about("Runtime state in this server")]
    active_flags: Annotated[list[str] | UnsetType, about("Only while active: what the turn waits for")] = UNSET


NOT_LOADED = ThreadStatus(type="notLoaded")
IDLE = ThreadStatus(type="idle")
SYSTEM_ERROR = ThreadStatus(type="systemError")
ACTIVE = ThreadStatus(type="active", active_flags=[])

UnixSeconds = Annotated[int, SECONDS]


class Thread(Value):
    """Codex's Thread object in snake_case, without its turns, and what its index tells of these."""

    id: Annotated[str, about("Thread id (UUID); every thread_id parameter takes it")]
    session_id: Annotated[str, about("Id shared by a root thread and all its sub-agents")]
    forked_from_id: Annotated[str | None, about("The thread this one was forked from")] = None
    attached_to_thread_id: Annotated[
        str | UnsetType, about("Only of an attached thread: the one whose history it goes on with and does not show")
    ] = UNSET
    parent_thread_id: Annotated[str | None, about("The thread that spawned this sub-agent")] = None
    name: Annotated[str | None, about("The name that was set, or null")] = None
    preview: Annotated[str, about("The first user message; empty before it")]
    status: Annotated[ThreadStatus, about("Runtime state in this server")] = NOT_LOADED
    archived: Annotated[bool, about("Whether the rollout lies in archived_sessions")] = False
    ephemeral: Annotated[bool, about("In memory only, never written")] = False
    path: Annotated[
        str | None, about("Absolute path of the rollout, plain even where that is compressed; null if ephemeral")
    ]
    cwd: Annotated[str, about("Working directory of the session")]
    created_at: UnixSeconds
    updated_at: UnixSeconds
    recency_at: UnixSeconds
    model_provider: Annotated[str, about("Provider recorded for the thread")]
    model: Annotated[str | None, about("Model last in force")] = None
    reasoning_effort: Annotated[str | None, about("Reasoning effort last in force; null is the model's default")] = None
    source: Annotated[Any, about("Who created it: cli, vscode, exec, appServer, unknown, {custom} or {subAgent}")]
    thread_source: Annotated[str | None, about("user or subagent, where recorded")] = None
    originator: Annotated[str | None, about("Name of the client that created it")] = None
    cli_version: Annotated[str, about("Version of the program that created it")]
    history_mode: Annotated[
        str,
        about("legacy or paginated (Codex's two rollout layouts); bare: of before September 2025, to read and to fork"),
    ]
    agent_nickname: Annotated[str | None, about("Nickname of a sub-agent")] = None
    agent_role: Annotated[str | None, about("Role of a sub-agent")] = None
    git_info: Annotated[GitInfo | None, about("Git state recorded for the thread")] = None
    section: Annotated[Section | UnsetType, about("Only of a thread in a section of Codex's, such as Pinned")] = UNSET
    tags: Annotated[list[str] | UnsetType, about("Its tags, set by thread_update")] = UNSET
    section_entered_at: Annotated[int | UnsetType, SECONDS] = UNSET
    last_turn: Annotated[TurnState | UnsetType, about("How the last turn stands, where known")] = UNSET
    last_error: Annotated[str | UnsetType, about("Why the last turn failed, shortened")] = UNSET
    last_answer: Annotated[str | UnsetType, about("The last message of the agent, shortened")] = UNSET
    turn_count: Annotated[int | UnsetType, about("How many turns it has, where known")] = UNSET
    sub_agents: Annotated[int | UnsetType, DETAIL] = UNSET
    """In a list: how many threads are below it."""
    running_in: Annotated[str | UnsetType, about("The other process that has it open: pid, program, since when")] = (
        UNSET
    )


class ThreadRow(Value):
    """What a concise answer shows of a thread. A field that is left out is empty, false or unknown."""

    id: Annotated[str, about("Every thread_id parameter takes it, or its beginning")]
    name: str | None = None
    first_message: Annotated[str | None, about("At most 120 characters")] = None
    task: Annotated[str | None, about("Of a sub-agent without a first message: what its task is called")] = None
    last_answer: str | None = None
    cwd: str | None = None
    branch: str | None = None
    worked_at: Annotated[int, SECONDS]
    turns: int | UnsetType = UNSET
    last_turn: TurnState | UnsetType = UNSET
    last_error: str | UnsetType = UNSET
    running_in: str | UnsetType = UNSET
    status: Annotated[str, about("idle or active where this server holds it")] = "notLoaded"
    parent_thread_id: str | None = None
    nickname: str | None = None
    archived: bool = False
    forked_from_id: str | None = None
    attached_to_thread_id: str | None = None
    ephemeral: bool = False
    section: Section | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET


class Settings(Value):
    """The values in force in a thread (Codex: thread/start and thread/resume answer with these)."""

    model: Annotated[str | None, about("Model in force; null if nothing names one")] = None
    model_provider: Annotated[str, about("Model provider in force")]
    cwd: Annotated[str, about("Working directory in force")]
    approval_policy: Annotated[Any, about("untrusted, on-failure, on-request, never or {granular}")]
    sandbox: Annotated[dict[str, Any], about("Codex's SandboxPolicy: type readOnly, workspaceWrite, ...")]
    reasoning_effort: Annotated[str | None, about("Reasoning effort in force; null is the model's default")] = None


class FileStamp(msgspec.Struct, frozen=True):
    """Size and modification time of a file. If they differ, the file has changed since it was indexed."""

    size: int
    mtime_ns: int


ANSWER_CHARS = 120
ERROR_CHARS = 300


class LastTurn(msgspec.Struct, frozen=True, gc=False):
    """How the last turn of a thread stands or ended, why if it failed, and the thread's last agent message. Both texts
    are on one line and cut: `last_turn` makes them so."""

    status: TurnStatus
    error: str | None = None
    answer: str | None = None


def last_turn(status: TurnStatus, error: str | None, answer: str | None) -> LastTurn:
    return LastTurn(status, _on_one_line(error, ERROR_CHARS), _on_one_line(answer, ANSWER_CHARS))


def _on_one_line(text: str | None, length: int) -> str | None:
    """The text without line breaks, cut, and such that any store can hold it; None for a blank one."""
    words = " ".join((text or "")[: 8 * length].split())
    cut = words if len(words) <= length else words[: length - 1] + "…"
    return cut.encode(errors="replace").decode() or None


class StoredThread(msgspec.Struct, frozen=True):
    """A thread's metadata from its files. Times are Unix milliseconds; `path` is relative to the home, with `/`.

    `source` has the rollout's form (`"cli"`, `{"subagent": ...}`). `recorded` has the settings that the rollout
    recorded last, in the form of `Settings`. `name` comes from session_index.jsonl, not from the rollout. A thread that
    is attached to another continues that one's history, but shows only its own turns. `last_turn` is None where the
    ends of the file do not tell it, and `turn_count` too, until its turns are indexed. No index has section and tags:
    they are read from Codex's database and from the home's tags each time.
    """

    id: str
    path: str
    stamp: FileStamp
    archived: bool
    created_at_ms: int
    updated_at_ms: int
    recency_at_ms: int
    archived_at_ms: int | None = None
    session_id: str | None = None
    parent_thread_id: str | None = None
    forked_from_id: str | None = None
    preview: str = ""
    name: str | None = None
    source: Any = "vscode"
    thread_source: str | None = None
    agent_nickname: str | None = None
    agent_role: str | None = None
    model_provider: str = ""
    cwd: str = ""
    cli_version: str = ""
    originator: str | None = None
    history_mode: str = "legacy"
    history_base: HistoryBase | None = None
    git: GitInfo | None = None
    recorded: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    attached_to_id: str | None = None
    last_turn: LastTurn | None = None
    turn_count: int | None = None
    section: Section | None = None
    section_entered_at_ms: int | None = None
    tags: tuple[str, ...] = ()

    @property
    def source_kind(self) -> SourceKind:
        return source_kind(self.source)

    @property
    def has_preview(self) -> bool:
        return self.preview != ""

    @property
    def attached(self) -> bool:
        return self.attached_to_id is not None

    # As `Thread` has them.

    @property
    def git_info(self) -> GitInfo | None:
        return self.git

    @property
    def created_at(self) -> int:
        return self.created_at_ms // 1000

    @property
    def recency_at(self) -> int:
        return self.recency_at_ms // 1000

    @property
    def model(self) -> str | None:
        model = self.recorded.get("model")
        return model if isinstance(model, str) else None


_SIMPLE_KINDS: dict[str, SourceKind] = {"cli": "cli", "vscode": "vscode", "exec": "exec", "mcp": "appServer"}


def source_kind(source: Any) -> SourceKind:
    """Codex's sourceKind for a recorded source; `unknown` for one that Codex doesn't know."""
    match source:
        case str():
            return _SIMPLE_KINDS.get(source, "unknown")
        case {"subagent": "review"}:
            return "subAgentReview"
        case {"subagent": "compact"}:
            return "subAgentCompact"
        case {"subagent": {"thread_spawn": _}}:
            return "subAgentThreadSpawn"
        case {"subagent": _}:
            return "subAgentOther"
        case _:
            return "unknown"


def wire_source(source: Any) -> Any:
    """The source as Codex's v2 API shows it: `mcp` as `appServer`, sub-agents under `subAgent`."""
    match source:
        case {"custom": custom}:
            return {"custom": custom}
        case {"subagent": sub_agent}:
            return {"subAgent": sub_agent}
        case _:
            return source_kind(source)


def spawn_parent(source: Any) -> str | None:
    """The parent that a spawned sub-agent's source names (`subagent.thread_spawn.parent_thread_id`)."""
    match source:
        case {"subagent": {"thread_spawn": {"parent_thread_id": str(parent)}}}:
            return parent
        case _:
            return None


def spawn_task(source: Any) -> str | None:
    """What the task of a spawned sub-agent is called: the end of its path, such as `/root/fix_login`. Codex's second
    kind of sub-agents has this alone, no first message."""
    match source:
        case (
            {"subagent": {"thread_spawn": {"agent_path": str(path)}}}
            | {"subAgent": {"thread_spawn": {"agent_path": str(path)}}}  # as clients see it
        ):
            return path.rpartition("/")[2] or None
        case _:
            return None


def spawn_depth(source: Any) -> int:
    """How many spawns lead to a thread: 0 for a root, 1 for its child."""
    match source:
        case {"subagent": {"thread_spawn": {"depth": int(depth)}}}:
            return depth
        case {"subagent": {"thread_spawn": _}}:
            return 1
        case _:
            return 0
