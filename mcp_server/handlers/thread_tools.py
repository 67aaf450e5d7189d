"""The tools on whole threads: params -> service -> result."""

# No postponed annotations here: the SDK would evaluate them in module scope, but the resolvers are local functions.

from functools import partial
from typing import Annotated, Any, Literal

from mcp.server.elicitation import ElicitationResult
from mcp.server.mcpserver import Context, Elicit, Resolve
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult
from msgspec.structs import replace
from pydantic import Field

from mcp_server.errors import ConfirmationRequired, WouldArchiveSelf, WouldDeleteSelf, WouldInterruptSelf
from mcp_server.handlers import render
from mcp_server.handlers.app import App
from mcp_server.handlers.consent import GO_ON, Consent, agreed, consent_of, consent_to_delete, missing_consent
from mcp_server.handlers.idempotency import answered
from mcp_server.handlers.schema import (
    ADDS,
    DESTROYS,
    READS,
    SETS,
    ArgumentObject,
    AttachedTo,
    CallerThread,
    Cursor,
    Format,
    Limit,
    RequestId,
    ThreadIds,
    ThreadRef,
    WithAttached,
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
)
from mcp_server.models.thread import (
    ApprovalPolicy,
    ReasoningEffort,
    SandboxMode,
    SortDirection,
    SourceKind,
    ThreadSortKey,
)
from mcp_server.threads.cascade import DeletionScope

Cwd = Annotated[str | None, Field(description="Working directory")]
Model = Annotated[str | None, Field(description="Model")]
Provider = Annotated[str | None, Field(description="Model provider id")]
Approval = Annotated[ApprovalPolicy | None, Field(description="Approval policy")]
Sandbox = Annotated[SandboxMode | None, Field(description="Sandbox mode")]
Effort = Annotated[ReasoningEffort | None, Field(description="Reasoning effort")]


class GitFields(ArgumentObject):
    """Leave a field out to keep it, pass null to clear it."""

    sha: str | None = Field(default=None, description="Commit hash")
    branch: str | None = Field(default=None, description="Branch")
    origin_url: str | None = Field(default=None, description="Remote URL")


def start_tools(app: App) -> list[Tool]:
    async def thread_start(
        ctx: Context,
        cwd: Cwd = None,
        model: Model = None,
        model_provider: Provider = None,
        approval_policy: Approval = None,
        sandbox: Sandbox = None,
        reasoning_effort: Effort = None,
        base_instructions: Annotated[str | None, Field(description="System prompt to record")] = None,
        developer_instructions: Annotated[str | None, Field(description="Developer message to record")] = None,
        name: Annotated[str | None, Field(description="Name of the thread")] = None,
        ephemeral: Annotated[bool, Field(description="Never write it to disk")] = False,
        parent_thread_id: Annotated[str | None, Field(description="Makes it a sub-agent of this thread")] = None,
        agent_nickname: Annotated[str | None, Field(description="Nickname of the sub-agent")] = None,
        agent_role: Annotated[str | None, Field(description="Role of the sub-agent")] = None,
        caller_thread_id: CallerThread = None,
        request_id: RequestId = None,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.LoadedThreadResult]:
        """Start a new, empty thread and subscribe to it. To go on with an old one use thread_resume, to copy one
        thread_fork. Nothing is written until turn_start brings the first user message; until then it is not listed.
        Settings left out come from the parent, else config.toml, else defaults; the answer shows those in force."""
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
        return reply(result, render.loaded(result, "started", response_format == "detailed"))

    async def thread_resume(
        ctx: Context,
        thread_id: ThreadRef,
        cwd: Cwd = None,
        model: Model = None,
        model_provider: Provider = None,
        approval_policy: Approval = None,
        sandbox: Sandbox = None,
        reasoning_effort: Effort = None,
        turns: Annotated[int, Field(description="How many last turns to show, 0 to 100", ge=0, le=100)] = 5,
        request_id: RequestId = None,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.LoadedThreadResult]:
        """Load a stored thread so that turns can be added, and subscribe to it. To only look at it use thread_read.
        Settings are the last recorded ones, then those given. Writes nothing. Refused while another process holds the
        thread, and for archived threads (thread_unarchive first)."""
        service = await app.ready(ctx)
        request = SettingsRequest(cwd, model, model_provider, approval_policy, sandbox, reasoning_effort)
        result = await in_worker(service.lifecycle.resume, thread_id, request, app.caller(ctx), turns)
        return reply(result, render.loaded(result, "resumed", response_format == "detailed"))

    async def thread_fork(
        ctx: Context,
        thread_id: ThreadRef,
        last_turn_id: Annotated[str | None, Field(description="Copy up to and with this turn")] = None,
        before_turn_id: Annotated[str | None, Field(description="Copy what is before this turn")] = None,
        cwd: Cwd = None,
        model: Model = None,
        model_provider: Provider = None,
        approval_policy: Approval = None,
        sandbox: Sandbox = None,
        reasoning_effort: Effort = None,
        ephemeral: Annotated[bool, Field(description="Keep the copy in memory only")] = False,
        request_id: RequestId = None,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.LoadedThreadResult]:
        """Copy a thread's history into a new thread, whole or up to a turn, and subscribe to the copy. Use it to try
        another way, or to go on where another process holds the original. The original stays as it is."""
        service = await app.ready(ctx)
        request = SettingsRequest(cwd, model, model_provider, approval_policy, sandbox, reasoning_effort)
        params = ForkParams(thread_id, request, last_turn_id, before_turn_id, ephemeral)
        result = await in_worker(service.lifecycle.fork, params, app.caller(ctx))
        return reply(result, render.loaded(result, "forked", response_format == "detailed"))

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
        subscription_id: Annotated[str | None, Field(description="The handle that start, resume or fork gave")] = None,
        thread_id: Annotated[str | None, Field(description="Thread id, prefix or name, without a handle")] = None,
        caller_thread_id: CallerThread = None,
        request_id: RequestId = None,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.UnsubscribeResult]:
        """Stop following a loaded thread. When the last subscriber leaves, a running turn is interrupted, the thread is
        closed and its lock freed; a thread without any message vanishes. To put it away for good use thread_archive.
        You can't so interrupt your own thread or one you run under: end your turn first."""
        service = await app.ready(ctx)
        if not agreed(consent):
            target = await in_worker(service.lifecycle.would_interrupt, thread_id, subscription_id, app.caller(ctx))
            await in_worker(service.guard.check, target or "", app.caller(ctx, caller_thread_id), WouldInterruptSelf)
        result = await in_worker(service.lifecycle.unsubscribe, thread_id, subscription_id, app.caller(ctx))
        return reply(result, f"{result.status} {result.thread_id}".strip())

    return [
        tool(thread_start, "Start a thread", ADDS),
        tool(thread_resume, "Resume a thread", SETS),
        tool(thread_fork, "Fork a thread", ADDS),
        tool(thread_unsubscribe, "Unsubscribe from a thread", SETS),
    ]


def list_tools(app: App) -> list[Tool]:
    async def thread_list(
        ctx: Context,
        archived: Annotated[bool, Field(description="Archived threads instead of active ones")] = False,
        search_term: Annotated[str | None, Field(description="Exact substring of name or first message")] = None,
        cwd: Annotated[str | list[str] | None, Field(description="Only of these working directories")] = None,
        model_providers: Annotated[list[str] | None, Field(description="Only of these providers")] = None,
        source_kinds: Annotated[
            list[SourceKind] | None, Field(description="Only of these sources; default all but sub-agents")
        ] = None,
        parent_thread_id: Annotated[str | None, Field(description="Only its direct sub-agents")] = None,
        ancestor_thread_id: Annotated[str | None, Field(description="Only sub-agents below it")] = None,
        attached_to_thread_id: AttachedTo = None,
        include_attached_threads: WithAttached = False,
        thread_ids: ThreadIds = None,
        section_id: Annotated[str | None, Field(description="Section of Codex, id or name")] = None,
        include_without_preview: Annotated[bool, Field(description="Also those without a text of the user")] = False,
        since: Annotated[str | None, Field(description="Sort key at or after this RFC 3339 time")] = None,
        until: Annotated[str | None, Field(description="Sort key at or before this RFC 3339 time")] = None,
        sort_key: Annotated[ThreadSortKey, Field(description="What to sort by")] = "created_at",
        sort_direction: Annotated[SortDirection, Field(description="Order")] = "desc",
        limit: Limit = 25,
        cursor: Cursor = None,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.ThreadListResult]:
        """List stored threads, newest first. To find words that were said use thread_search. Says how many threads fit
        and how many the default filters hide."""
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
            since=since,
            until=until,
            include_without_preview=include_without_preview,
        )
        params = ListParams(where, sort_key, sort_direction, cursor, limit)
        reader = app.service.reader
        result = await app.with_home_notes(
            await app.early_answer(ctx, lambda: reader.early_list(params)) or await in_worker(reader.list, params)
        )
        return reply(result, render.thread_list(result, response_format == "detailed"))

    async def thread_loaded_list(
        ctx: Context, limit: Limit = 25, cursor: Cursor = None, response_format: Format = "concise"
    ) -> Annotated[CallToolResult, r.LoadedListResult]:
        """List the ids of the threads loaded in this server, with those that have no message yet. What is stored is in
        thread_list."""
        service = await app.ready(ctx)
        result = service.reader.loaded(cursor, limit)
        return reply(result, render.loaded_list(result))

    async def thread_tree(
        ctx: Context,
        thread_id: ThreadRef,
        limit: Limit = 100,
        cursor: Cursor = None,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.TreeResult]:
        """Show the tree of sub-agents above and below a thread: who runs under whom, states, turns. For rows with all
        fields use thread_list with ancestor_thread_id."""
        service = await app.ready(ctx)
        result = await in_worker(service.tree.show, thread_id, cursor, limit)
        return reply(result, render.tree(result))

    return [
        tool(thread_list, "List threads", READS),
        tool(thread_loaded_list, "List loaded threads", READS),
        tool(thread_tree, "Show the sub-agent tree", READS),
    ]


def change_tools(app: App) -> list[Tool]:
    async def thread_set_name(
        ctx: Context,
        thread_id: ThreadRef,
        name: Annotated[str, Field(description="The new name; blanks around it are cut off")],
        request_id: RequestId = None,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.ThreadResult]:
        """Name a thread, so that people find it and thread_id parameters take the name. Names need not be unique; they
        can be changed, not removed. Writes the rollout of a fresh thread. Not for archived threads."""
        service = await app.ready(ctx)
        return await answered(
            partial(service.metadata.set_name, thread_id, name),
            lambda result: reply(
                result, "\n".join([render.thread_line(result.thread), *render.codex_db_note(result.codex_db)])
            ),
        )

    async def thread_update_metadata(
        ctx: Context,
        thread_id: ThreadRef,
        git_info: Annotated[GitFields | None, Field(description="At least one field; null in it clears")] = None,
        request_id: RequestId = None,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.ThreadResult]:
        """Record the git commit, branch or remote of a thread. For its name use thread_set_name."""
        service = await app.ready(ctx)
        fields: Any = git_info.model_dump(exclude_unset=True) if git_info else {}
        return await answered(
            partial(service.metadata.set_git, thread_id, GitPatch(fields)),
            lambda result: reply(
                result, "\n".join([render.thread_block(result.thread), *render.codex_db_note(result.codex_db)])
            ),
        )

    return [
        tool(thread_set_name, "Name a thread", SETS),
        tool(thread_update_metadata, "Update git metadata", SETS),
    ]


def archive_tools(app: App) -> list[Tool]:
    async def may_archive(
        ctx: Context, thread_id: str, dry_run: bool, caller_thread_id: str | None
    ) -> Consent | Elicit[Consent]:
        if dry_run:
            return GO_ON
        return await consent_of(app, ctx, thread_id, caller_thread_id, WouldArchiveSelf)

    async def thread_archive(
        ctx: Context,
        thread_id: ThreadRef,
        consent: Annotated[ElicitationResult[Consent], Resolve(may_archive)],
        dry_run: Annotated[bool, Field(description="Only tell what the call would do, or why it would not")] = False,
        interrupt_running: Annotated[bool, Field(description="Interrupt running turns instead of refusing")] = False,
        caller_thread_id: CallerThread = None,
        request_id: RequestId = None,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.ArchiveResult]:
        """Archive a thread and all its sub-agents, out of the default lists; thread_unarchive brings them back. Returns
        a receipt of what was moved. Can be repeated. Refused if a turn runs in the tree, if another process holds a
        thread of it, and for your own thread or one you run under."""
        service = await app.ready(ctx)
        if not agreed(consent):
            await in_worker(service.guard.check, thread_id, app.caller(ctx, caller_thread_id), WouldArchiveSelf)
        needs = None
        if dry_run:
            needs = await missing_consent(consent_of(app, ctx, thread_id, caller_thread_id, WouldArchiveSelf))

        def show(receipt: r.ArchiveResult) -> CallToolResult:
            result = replace(receipt, needs=needs)
            return reply(result, render.cascade("archived", result.archived, result, result.already_archived))

        archive = partial(service.cascade.archive, thread_id, dry_run=dry_run, interrupt_running=interrupt_running)
        return await answered(archive, show)

    async def thread_unarchive(
        ctx: Context,
        thread_id: ThreadRef,
        include_descendants: Annotated[
            Literal["same_operation", "all", "none"],
            Field(description="Sub-agents archived together with it, all archived ones, or none"),
        ] = "same_operation",
        dry_run: Annotated[bool, Field(description="Only tell what the call would do, or why it would not")] = False,
        request_id: RequestId = None,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.UnarchiveResult]:
        """Bring an archived thread back into the lists, with the sub-agents archived with it. Does not load it: call
        thread_resume for that."""
        service = await app.ready(ctx)
        return await answered(
            partial(service.cascade.unarchive, thread_id, include=include_descendants, dry_run=dry_run),
            lambda result: reply(result, render.cascade("unarchived", result.unarchived, result)),
        )

    async def deletion_scope(ctx: Context, thread_id: str) -> DeletionScope:
        service = await app.ready(ctx)
        return await in_worker(service.cascade.deletion_scope, thread_id)

    async def may_delete(
        ctx: Context,
        scope: Annotated[DeletionScope, Resolve(deletion_scope)],
        dry_run: bool,
        interrupt_running: bool,
        confirm_thread_id: str | None,
        caller_thread_id: str | None,
    ) -> Consent | Elicit[Consent]:
        if dry_run:
            return GO_ON
        return await consent_to_delete(app, ctx, scope, confirm_thread_id, caller_thread_id, interrupt_running)

    async def thread_delete(
        ctx: Context,
        thread_id: ThreadRef,
        scope: Annotated[DeletionScope, Resolve(deletion_scope)],
        consent: Annotated[ElicitationResult[Consent], Resolve(may_delete)],
        confirm_thread_id: Annotated[str | None, Field(description="The full id again, to confirm")] = None,
        dry_run: Annotated[bool, Field(description="Only tell what the call would do, or why it would not")] = False,
        interrupt_running: Annotated[bool, Field(description="Interrupt running turns instead of refusing")] = False,
        caller_thread_id: CallerThread = None,
        request_id: RequestId = None,
        response_format: Format = "concise",
    ) -> Annotated[CallToolResult, r.DeleteResult]:
        """Delete a thread and all its sub-agents for ever; there is no way back. Prefer thread_archive. A person is
        asked where the client can ask, and their no is final; else it needs confirm_thread_id. Refused where
        thread_archive is. A thread that is gone already is a success."""
        service = await app.ready(ctx)
        if not agreed(consent):
            await in_worker(service.guard.check, thread_id, app.caller(ctx, caller_thread_id), WouldDeleteSelf)
            raise ConfirmationRequired(scope.thread_id, declined=True)
        needs = None
        if dry_run:
            asking = consent_to_delete(app, ctx, scope, confirm_thread_id, caller_thread_id, interrupt_running)
            needs = await missing_consent(asking)

        def show(receipt: r.DeleteResult) -> CallToolResult:
            result = replace(receipt, needs=needs)
            return reply(result, render.cascade("deleted", result.deleted, result, result.already_gone))

        delete = partial(
            service.cascade.delete, thread_id, dry_run=dry_run, interrupt_running=interrupt_running, confirmed=scope
        )
        return await answered(delete, show)

    return [
        tool(thread_archive, "Archive a thread and its sub-agents", SETS),
        tool(thread_unarchive, "Unarchive a thread", SETS),
        tool(thread_delete, "Delete a thread for ever", DESTROYS),
    ]
