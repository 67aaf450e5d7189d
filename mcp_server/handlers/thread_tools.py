"""The tools on whole threads: params -> service -> result."""

# No postponed annotations here: the SDK would evaluate them in module scope, but the resolvers are local functions.

from functools import partial
from typing import Annotated, Literal

from mcp.server.elicitation import ElicitationResult
from mcp.server.mcpserver import Context, Elicit, Resolve
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult
from msgspec.structs import replace
from pydantic import Field

from mcp_server.errors import (
    ConfirmationRequired,
    InvalidArgument,
    WouldArchiveSelf,
    WouldDeleteSelf,
    WouldInterruptSelf,
)
from mcp_server.handlers.app import App
from mcp_server.handlers.consent import GO_ON, Consent, agreed, consent_of, consent_to_delete, missing_consent
from mcp_server.handlers.idempotency import answered
from mcp_server.handlers.mcp_app import SHOWN_BY_PAGE
from mcp_server.handlers.schema import (
    ADDS,
    DESTROYS,
    FOUND_FIRST,
    READS,
    SETS,
    ArgumentObject,
    AttachedTo,
    CallerThread,
    Cursor,
    Direction,
    DryRun,
    Folders,
    Format,
    Interrupt,
    Limit,
    Providers,
    RequestId,
    Since,
    Sources,
    Tags,
    ThreadIds,
    ThreadRef,
    Until,
    WithAttached,
    published,
    reply,
    tool,
)
from mcp_server.handlers.workers import in_worker
from mcp_server.models import results as r
from mcp_server.models.params import (
    ForkParams,
    GitPatch,
    ListParams,
    SettingsRequest,
    StartParams,
    ThreadFilter,
    ThreadPatch,
)
from mcp_server.models.thread import (
    ApprovalPolicy,
    ReasoningEffort,
    SandboxMode,
    ThreadSortKey,
    TurnState,
)
from mcp_server.threads.cascade import DeletionScope

InCwd = Annotated[str | None, Field(description="Folder")]
Model = Annotated[str | None, Field(description="Model")]
Provider = Annotated[str | None, Field(description="Provider")]
Approval = Annotated[ApprovalPolicy | None, published("untrusted, on-failure, on-request or never", "string")]
Sandbox = Annotated[SandboxMode | None, published("read-only, workspace-write or danger-full-access", "string")]
SortKey = Annotated[ThreadSortKey, published("recency_at (worked on), created_at or updated_at", "string")]
Effort = Annotated[ReasoningEffort | None, published("none, minimal, low, medium, high, xhigh, max or ultra", "string")]
_AS_IN_START = published("As in thread_start", "string")
OtherApproval = Annotated[ApprovalPolicy | None, _AS_IN_START]
OtherSandbox = Annotated[SandboxMode | None, _AS_IN_START]
OtherEffort = Annotated[ReasoningEffort | None, _AS_IN_START]
MOST_THREADS = 100
OneThread = Annotated[str | None, Field(description="Id or name")]
ManyThreads = Annotated[list[str] | None, Field(description="Or up to 100")]
LastTurns = Annotated[
    TurnState | list[TurnState] | None,
    published("completed, failed, interrupted, running, crashed", "array", items={"type": "string"}),
]


class GitFields(ArgumentObject):
    """Leave a field out to keep it, pass null to clear it."""

    sha: str | None = Field(default=None, description="Commit hash")
    branch: str | None = Field(default=None, description="Branch")
    origin_url: str | None = Field(default=None, description="Remote URL")


def start_tools(app: App) -> list[Tool]:
    async def thread_start(
        ctx: Context,
        cwd: InCwd = None,
        model: Model = None,
        model_provider: Provider = None,
        approval_policy: Approval = None,
        sandbox: Sandbox = None,
        reasoning_effort: Effort = None,
        base_instructions: Annotated[str | None, Field(description="System prompt")] = None,
        developer_instructions: Annotated[str | None, Field(description="Developer message")] = None,
        name: Annotated[str | None, Field(description="Name")] = None,
        ephemeral: Annotated[bool, Field(description="In memory only")] = False,
        parent_thread_id: Annotated[str | None, Field(description="Its parent")] = None,
        agent_nickname: Annotated[str | None, Field(description="Nickname")] = None,
        agent_role: Annotated[str | None, Field(description="Role")] = None,
        caller_thread_id: CallerThread = None,
        request_id: RequestId = None,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.LoadedThreadResult]:
        """Record work: start a new thread (agent session) that you write to, a sub-agent with parent_thread_id. It is
        listed once turn_start brings a message; settings left out come from the parent, else config.toml."""
        service = await app.ready(ctx)
        params = StartParams(
            settings=SettingsRequest(cwd, model, model_provider, approval_policy, sandbox, reasoning_effort),
            base_instructions=base_instructions,
            developer_instructions=developer_instructions,
            name=name,
            ephemeral=ephemeral,
            parent_thread_id=parent_thread_id,
            agent_nickname=agent_nickname,
            agent_role=agent_role,
        )
        result = await in_worker(service.lifecycle.start, params, app.caller(ctx, caller_thread_id))
        return reply(result, response_format)

    async def thread_resume(
        ctx: Context,
        thread_id: ThreadRef,
        cwd: InCwd = None,
        model: Model = None,
        model_provider: Provider = None,
        approval_policy: OtherApproval = None,
        sandbox: OtherSandbox = None,
        reasoning_effort: OtherEffort = None,
        turns: Annotated[int, Field(ge=0, le=100), published("Turns shown (5), up to 100", "integer")] = 5,
        request_id: RequestId = None,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.LoadedThreadResult]:
        """Continue an old thread: load it, so that turn_start can add to it. Takes its lock; refused while another
        process holds it (then thread_fork) or it is archived (thread_unarchive). To only read it use thread_read."""
        service = await app.ready(ctx)
        request = SettingsRequest(cwd, model, model_provider, approval_policy, sandbox, reasoning_effort)
        result = await in_worker(service.lifecycle.resume, thread_id, request, app.caller(ctx), turns)
        return reply(result, response_format)

    async def thread_fork(
        ctx: Context,
        thread_id: ThreadRef,
        last_turn_id: Annotated[str | None, Field(description="Copy up to this turn")] = None,
        before_turn_id: Annotated[str | None, Field(description="Copy what is before it")] = None,
        name: Annotated[str | None, Field(description="Its name")] = None,
        cwd: InCwd = None,
        model: Model = None,
        model_provider: Provider = None,
        approval_policy: OtherApproval = None,
        sandbox: OtherSandbox = None,
        reasoning_effort: OtherEffort = None,
        ephemeral: Annotated[bool, Field(description="In memory only")] = False,
        request_id: RequestId = None,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.LoadedThreadResult]:
        """Copy (branch) a thread's history into a new thread, whole or up to a turn, and hold the copy as thread_resume
        does. For another way, to undo a wrong turn, or where another process holds the original."""
        service = await app.ready(ctx)
        request = SettingsRequest(cwd, model, model_provider, approval_policy, sandbox, reasoning_effort)
        params = ForkParams(thread_id, request, last_turn_id, before_turn_id, ephemeral, name)
        result = await in_worker(service.lifecycle.fork, params, app.caller(ctx))
        return reply(result, response_format)

    async def may_leave(
        ctx: Context, subscription_id: str | None, thread_id: str | None, caller_thread_id: str | None
    ) -> Consent | Elicit[Consent]:
        service = await app.ready(ctx)
        target = await in_worker(service.lifecycle.would_interrupt, thread_id, subscription_id, app.caller(ctx))
        if target is None:
            return GO_ON
        return await consent_of(app, ctx, target, caller_thread_id, WouldInterruptSelf)

    async def thread_unsubscribe(
        ctx: Context,
        consent: Annotated[ElicitationResult[Consent], Resolve(may_leave)],
        subscription_id: Annotated[str | None, Field(description="Handle that you got")] = None,
        thread_id: Annotated[str | None, Field(description="Instead of a handle")] = None,
        caller_thread_id: CallerThread = None,
        request_id: RequestId = None,
    ) -> Annotated[CallToolResult, r.UnsubscribeResult]:
        """Let go of (close) a thread that you started, resumed or forked. When its last holder leaves, its lock is
        freed and a running turn interrupted. Refused for your own thread and those you run under."""
        service = await app.ready(ctx)
        if not agreed(consent):
            target = await in_worker(service.lifecycle.would_interrupt, thread_id, subscription_id, app.caller(ctx))
            await in_worker(service.guard.check, [target or ""], app.caller(ctx, caller_thread_id), WouldInterruptSelf)
        result = await in_worker(service.lifecycle.unsubscribe, thread_id, subscription_id, app.caller(ctx))
        return reply(result)

    return [
        tool(thread_start, "Start a thread", ADDS),
        tool(thread_resume, "Resume a thread", SETS),
        tool(thread_fork, "Fork a thread", ADDS),
        tool(thread_unsubscribe, "Unsubscribe from a thread", SETS),
    ]


def list_tools(app: App) -> list[Tool]:
    async def thread_list(
        ctx: Context,
        archived: Annotated[bool, Field(description="Archived ones instead")] = False,
        search_term: Annotated[str | None, Field(description="Part of name or first message")] = None,
        cwd: Folders = None,
        model_providers: Providers = None,
        source_kinds: Sources = None,
        parent_thread_id: Annotated[str | None, Field(description="Direct sub-agents of it")] = None,
        ancestor_thread_id: Annotated[str | None, Field(description="Sub-agents below it")] = None,
        attached_to_thread_id: AttachedTo = None,
        include_attached_threads: WithAttached = False,
        thread_ids: ThreadIds = None,
        section_id: Annotated[str | None, Field(description="Codex's section")] = None,
        tags: Tags = None,
        include_without_preview: Annotated[bool, Field(description="Those without a text too")] = False,
        named: Annotated[bool | None, Field(description="With or without a name")] = None,
        last_turn: LastTurns = None,
        loaded: Annotated[bool, Field(description="Loaded here")] = False,
        since: Since = None,
        until: Until = None,
        sort_key: SortKey = "recency_at",
        sort_direction: Direction = "desc",
        limit: Limit = 25,
        cursor: Cursor = None,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.ThreadListResult]:
        """List past threads (sessions, conversations, history) by time, project folder or state: what was done
        yesterday or in this repo, what runs or failed. Leaves out sub-agents and archived ones by default; since and
        until follow sort_key. To find words use thread_search."""
        where = ThreadFilter(
            archived=archived,
            model_providers=model_providers,
            source_kinds=source_kinds,
            cwd=[cwd] if isinstance(cwd, str) else cwd,
            search_term=search_term,
            parent_thread_id=parent_thread_id,
            ancestor_thread_id=ancestor_thread_id,
            attached_to_thread_id=attached_to_thread_id,
            include_attached_threads=include_attached_threads,
            thread_ids=thread_ids,
            section_id=section_id,
            tags=tags,
            since=since,
            until=until,
            named=named,
            last_turn=[last_turn] if isinstance(last_turn, str) else last_turn,
            loaded=loaded,
            include_without_preview=include_without_preview,
        )
        params = ListParams(
            where, sort_key, sort_direction, cursor, limit, count_sub_agents=response_format == "detailed"
        )
        reader = app.service.reader
        result = await app.with_home_notes(
            await app.early_answer(ctx, lambda: reader.early_list(params)) or await in_worker(reader.list, params)
        )
        return reply(result, response_format)

    async def thread_loaded_list(
        ctx: Context, limit: Limit = 25, cursor: Cursor = None
    ) -> Annotated[CallToolResult, r.LoadedListResult]:
        """List the ids of the threads that this server holds open, with those that have no message yet. Stored ones are
        in thread_list."""
        service = await app.ready(ctx)
        result = service.reader.loaded(cursor, limit)
        return reply(result)

    async def thread_tree(
        ctx: Context,
        thread_id: ThreadRef,
        limit: Limit = 100,
        cursor: Cursor = None,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.TreeResult]:
        """Show the sub-agents and forks of a thread and what is above it: who ran under whom, state, turns, tokens. To
        filter them use thread_list."""
        service = await app.ready(ctx)
        result = await in_worker(service.tree.show, thread_id, cursor, limit)
        return reply(result, response_format)

    return [
        tool(thread_list, "List threads", READS, FOUND_FIRST | SHOWN_BY_PAGE),
        tool(thread_loaded_list, "List loaded threads", READS),
        tool(thread_tree, "Show the sub-agent tree", READS, SHOWN_BY_PAGE),
    ]


def change_tools(app: App) -> list[Tool]:
    async def thread_update(
        ctx: Context,
        thread_id: ThreadRef,
        name: Annotated[str | None, Field(description="The new name")] = None,
        git_info: Annotated[GitFields | None, published("sha, branch, origin_url; null clears", "object")] = None,
        tags: Annotated[list[str] | None, Field(description="All its tags from now on; [] removes them")] = None,
        request_id: RequestId = None,
    ) -> Annotated[CallToolResult, r.ThreadResult]:
        """Name, rename or tag a thread, or record its git commit, branch or remote; what is left out stays. People find
        it by its name, which each thread_id takes."""
        service = await app.ready(ctx)
        git = None if git_info is None else GitPatch(git_info.model_dump(exclude_unset=True))  # type: ignore[arg-type]
        return await answered(
            partial(service.metadata.update, thread_id, ThreadPatch(name, git, tags)),
            reply,
        )

    return [tool(thread_update, "Update name, tags, git info", SETS)]


def archive_tools(app: App) -> list[Tool]:
    async def may_archive(
        ctx: Context, thread_id: str | None, thread_ids: list[str] | None, dry_run: bool, caller_thread_id: str | None
    ) -> Consent | Elicit[Consent]:
        if dry_run:
            return GO_ON
        return await consent_of(app, ctx, named(thread_id, thread_ids), caller_thread_id, WouldArchiveSelf)

    async def thread_archive(
        ctx: Context,
        consent: Annotated[ElicitationResult[Consent], Resolve(may_archive)],
        thread_id: OneThread = None,
        thread_ids: ManyThreads = None,
        dry_run: DryRun = False,
        interrupt_running: Interrupt = False,
        caller_thread_id: CallerThread = None,
        request_id: RequestId = None,
    ) -> Annotated[CallToolResult, r.ArchiveResult]:
        """Archive (put away, hide) threads with all their sub-agents; thread_unarchive with the operation_id undoes it.
        Pass caller_thread_id: your own thread and those you run under are refused, as are trees in which a turn runs or
        that another process holds."""
        service, targets = await app.ready(ctx), named(thread_id, thread_ids)
        if not agreed(consent):
            await in_worker(service.guard.check, targets, app.caller(ctx, caller_thread_id), WouldArchiveSelf)
        needs = None
        if dry_run:
            needs = await missing_consent(consent_of(app, ctx, targets, caller_thread_id, WouldArchiveSelf))

        def show(receipt: r.ArchiveResult) -> CallToolResult:
            return reply(replace(receipt, needs=needs))

        archive = partial(service.cascade.archive, *targets, dry_run=dry_run, interrupt_running=interrupt_running)
        return await answered(archive, show)

    async def thread_unarchive(
        ctx: Context,
        thread_id: OneThread = None,
        operation_id: Annotated[str | None, Field(description="Of thread_archive, instead")] = None,
        include_descendants: Annotated[
            Literal["same_operation", "all", "none"],
            published("same_operation (archived with it), all or none", "string"),
        ] = "same_operation",
        dry_run: DryRun = False,
        request_id: RequestId = None,
    ) -> Annotated[CallToolResult, r.UnarchiveResult]:
        """Undo an archive: bring a thread back into the lists, with the sub-agents archived with it, or with
        operation_id all that one thread_archive put away."""
        cascade = (await app.ready(ctx)).cascade
        if (thread_id is None) == (operation_id is None):
            raise InvalidArgument("operation_id", operation_id, "it says what to bring back", "pass it or thread_id")
        if operation_id is not None:
            unarchive = partial(cascade.undo_archive, operation_id, dry_run=dry_run)
        else:
            unarchive = partial(cascade.unarchive, thread_id or "", include=include_descendants, dry_run=dry_run)
        return await answered(
            unarchive,
            reply,
        )

    async def deletion_scope(ctx: Context, thread_id: str | None, thread_ids: list[str] | None) -> DeletionScope:
        service = await app.ready(ctx)
        return await in_worker(service.cascade.deletion_scope, *named(thread_id, thread_ids))

    async def may_delete(
        ctx: Context,
        scope: Annotated[DeletionScope, Resolve(deletion_scope)],
        dry_run: bool,
        interrupt_running: bool,
        confirm_thread_id: str | None,
        confirm_thread_ids: list[str] | None,
        caller_thread_id: str | None,
    ) -> Consent | Elicit[Consent]:
        if dry_run:
            return GO_ON
        confirmed = _confirmed(confirm_thread_id, confirm_thread_ids)
        return await consent_to_delete(app, ctx, scope, confirmed, caller_thread_id, interrupt_running)

    async def thread_delete(
        ctx: Context,
        scope: Annotated[DeletionScope, Resolve(deletion_scope)],
        consent: Annotated[ElicitationResult[Consent], Resolve(may_delete)],
        thread_id: OneThread = None,
        thread_ids: ManyThreads = None,
        confirm_thread_id: Annotated[str | None, Field(description="Full id again, to confirm")] = None,
        confirm_thread_ids: Annotated[list[str] | None, Field(description="All full ids, to confirm")] = None,
        dry_run: DryRun = False,
        interrupt_running: Interrupt = False,
        caller_thread_id: CallerThread = None,
        request_id: RequestId = None,
    ) -> Annotated[CallToolResult, r.DeleteResult]:
        """Delete threads with all their sub-agents for ever, so prefer thread_archive. A person is asked where the
        client can ask, else the full ids must be confirmed. Refused where thread_archive is; pass caller_thread_id."""
        service, targets = await app.ready(ctx), named(thread_id, thread_ids)
        if not agreed(consent):
            await in_worker(service.guard.check, targets, app.caller(ctx, caller_thread_id), WouldDeleteSelf)
            raise ConfirmationRequired(scope.thread_ids, declined=True)
        needs = None
        if dry_run:
            confirmed = _confirmed(confirm_thread_id, confirm_thread_ids)
            asking = consent_to_delete(app, ctx, scope, confirmed, caller_thread_id, interrupt_running)
            needs = await missing_consent(asking)

        def show(receipt: r.DeleteResult) -> CallToolResult:
            return reply(replace(receipt, needs=needs))

        delete = partial(
            service.cascade.delete, *targets, dry_run=dry_run, interrupt_running=interrupt_running, confirmed=scope
        )
        return await answered(delete, show)

    return [
        tool(thread_archive, "Archive threads and their sub-agents", SETS),
        tool(thread_unarchive, "Unarchive threads", SETS),
        tool(thread_delete, "Delete threads for ever", DESTROYS),
    ]


def named(thread_id: str | None, thread_ids: list[str] | None) -> list[str]:
    """The threads that a call names by one of its two arguments.

    Raises:
        InvalidArgument: neither is given, or both are, or there are none or too many.
    """
    if (thread_id is None) == (thread_ids is None):
        why = "neither it nor thread_ids is given" if thread_id is None else "thread_ids is given too"
        raise InvalidArgument("thread_id", thread_id, why, "pass one of the two")
    if thread_ids is not None and not 0 < len(thread_ids) <= MOST_THREADS:
        number = f"{len(thread_ids)} ids"
        raise InvalidArgument("thread_ids", number, f"it takes 1 to {MOST_THREADS}", "name them in several calls")
    return [thread_id] if thread_id is not None else list(thread_ids or ())


def _confirmed(thread_id: str | None, thread_ids: list[str] | None) -> list[str] | None:
    given = [*([] if thread_id is None else [thread_id]), *(thread_ids or ())]
    return given or None
