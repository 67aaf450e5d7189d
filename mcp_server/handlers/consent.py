"""Asks a person before an agent's call does harm, and decides which answers count as a yes."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver import Elicit
from pydantic import BaseModel, Field, field_validator

from mcp_server.errors import ConfirmationRequired, SelfHarm, WouldDeleteSelf
from mcp_server.handlers.app import AnyContext, App
from mcp_server.handlers.workers import in_worker
from mcp_server.models.quoting import quoted
from mcp_server.threads.cascade import DeletionScope

_TITLE_CHARS = 80


class Consent(BaseModel):
    """A person's answer."""

    confirm: bool = Field(description="Yes, go on")

    @field_validator("confirm", mode="before")
    @classmethod
    def _only_true_is_a_yes(cls, value: Any) -> bool:
        """Accept only JSON true. "yes" or 1 may be a client's default value, and that is no consent."""
        return value is True


GO_ON = Consent(confirm=True)


def can_elicit(ctx: AnyContext) -> bool:
    """Whether the client can show a person a form to answer."""
    capabilities = ctx.client_capabilities
    asks = capabilities.elicitation if capabilities is not None else None
    return asks is not None and (asks.form is not None or asks.url is None)


def agreed(answer: ElicitationResult[Consent]) -> bool:
    """Whether the person said yes. Declining or closing the question is a no."""
    return isinstance(answer, AcceptedElicitation) and answer.data.confirm


def describe(scope: DeletionScope) -> str:
    """A thread as a question names it: quoted title (so that it can't pose as our words), id, number of sub-agents."""
    count = len(scope.sub_agents)
    below = f"{count} sub-agent{'' if count == 1 else 's'}"
    return f"thread {quoted(scope.title, _TITLE_CHARS)} (id {scope.thread_id}, {below})"


async def consent_of(
    app: App,
    ctx: AnyContext,
    thread_id: str,
    caller_thread_id: str | None,
    refusal: type[SelfHarm],
    *,
    itself: bool = True,
) -> Consent | Elicit[Consent]:
    """Consent, or the question to ask. Nobody is asked unless the caller would harm its own thread or an ancestor.

    `itself`: whether harming its own thread counts.

    Raises:
        SelfHarm: `refusal`, if the client can't ask a person.
    """
    service = await app.ready(ctx)
    harm = await in_worker(service.guard.self_harm, thread_id, app.caller(ctx, caller_thread_id), itself=itself)
    if harm is None:
        return GO_ON
    if not can_elicit(ctx):
        raise refusal(*harm)
    scope = await in_worker(service.cascade.deletion_scope, harm[1])
    relation = "itself" if harm[0] == harm[1] else "which it runs under"
    return Elicit(f"Agent thread {harm[0]} wants to {refusal.verb} {describe(scope)}, {relation}. Allow it?", Consent)


async def consent_to_delete(
    app: App,
    ctx: AnyContext,
    scope: DeletionScope,
    confirm_thread_id: str | None,
    caller_thread_id: str | None,
    interrupt_running: bool,
) -> Consent | Elicit[Consent]:
    """Consent, or the question to ask. A person is asked if the client can ask and something would be deleted.

    Raises:
        ConfirmationRequired: the confirmed id is not the thread's, or the client can't ask and no id is confirmed.
    """
    if confirm_thread_id is not None and confirm_thread_id.strip().lower() != scope.thread_id:
        raise ConfirmationRequired(scope.thread_id, confirm_thread_id)
    consent = await consent_of(app, ctx, scope.thread_id, caller_thread_id, WouldDeleteSelf)
    if isinstance(consent, Elicit):
        return consent
    if can_elicit(ctx):
        cascade = (await app.ready(ctx)).cascade
        foretold = await in_worker(cascade.delete, scope.thread_id, dry_run=True, interrupt_running=interrupt_running)
        if foretold.deleted:
            return Elicit(f"Delete {describe(scope)} for ever? There is no way back.", Consent)
    elif confirm_thread_id is None:
        raise ConfirmationRequired(scope.thread_id, None)
    return GO_ON


async def missing_consent(asking: Awaitable[Consent | Elicit[Consent]]) -> str | None:
    """What the real call would still need, for the answer of its dry run. A refusal of the call refuses the dry run."""
    try:
        asked = await asking
    except ConfirmationRequired as error:
        if error.given is not None:
            raise
        return f"confirm_thread_id={error.thread_id}"
    return f"a person's yes to: {asked.message}" if isinstance(asked, Elicit) else None
