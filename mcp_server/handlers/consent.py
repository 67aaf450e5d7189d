"""Asks a person before an agent's call does harm, and decides which answers count as a yes."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Any

from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver import Elicit
from pydantic import BaseModel, Field, field_validator

from mcp_server.errors import ConfirmationRequired, SelfHarm, WouldDeleteSelf
from mcp_server.handlers.app import AnyContext, App
from mcp_server.handlers.workers import in_worker
from mcp_server.models.counting import counted
from mcp_server.models.quoting import quoted
from mcp_server.threads.cascade import DeletionScope

_TITLE_CHARS, _TITLES = 80, 10


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
    """Threads as a question names them: quoted titles (so that they can't pose as our words), ids, number of
    sub-agents."""
    count = len(scope.sub_agents)
    below = counted(count, "sub-agent")
    shown = [f"{quoted(title, _TITLE_CHARS)} (id {thread_id})" for thread_id, title in scope.titles.items()]
    if len(shown) == 1:
        return f"thread {shown[0].removesuffix(')')}, {below})"
    more = f" and {len(shown) - _TITLES} more" if len(shown) > _TITLES else ""
    return f"{len(shown)} threads: {', '.join(shown[:_TITLES])}{more}, with {below} in all"


async def consent_of(
    app: App,
    ctx: AnyContext,
    thread_ids: str | Sequence[str],
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
    caller, references = app.caller(ctx, caller_thread_id), _listed(thread_ids)
    harm = await in_worker(service.guard.self_harm, references, caller, itself=itself)
    if harm is None:
        return GO_ON
    if not can_elicit(ctx):
        raise refusal(*harm)
    scope = await in_worker(service.cascade.deletion_scope, harm[1])
    relation = "itself" if harm[0] == harm[1] else "which it runs under"
    return Elicit(f"Agent thread {harm[0]} wants to {refusal.verb} {describe(scope)}, {relation}. Allow it?", Consent)


def _listed(thread_ids: str | Sequence[str]) -> Sequence[str]:
    return [thread_ids] if isinstance(thread_ids, str) else thread_ids


async def consent_to_delete(
    app: App,
    ctx: AnyContext,
    scope: DeletionScope,
    confirmed: Sequence[str] | None,
    caller_thread_id: str | None,
    interrupt_running: bool,
) -> Consent | Elicit[Consent]:
    """Consent, or the question to ask. A person is asked if the client can ask and something would be deleted.

    Raises:
        ConfirmationRequired: the confirmed ids are not those of the threads, or the client can't ask and none are
            confirmed.
    """
    if confirmed is not None and {one.strip().lower() for one in confirmed} != set(scope.thread_ids):
        raise ConfirmationRequired(scope.thread_ids, confirmed)
    consent = await consent_of(app, ctx, scope.thread_ids, caller_thread_id, WouldDeleteSelf)
    if isinstance(consent, Elicit):
        return consent
    if can_elicit(ctx):
        cascade = (await app.ready(ctx)).cascade
        foretell = partial(cascade.delete, *scope.thread_ids, dry_run=True, interrupt_running=interrupt_running)
        if scope.thread_ids and (await in_worker(foretell)).deleted:
            return Elicit(f"Delete {describe(scope)} for ever? There is no way back.", Consent)
    elif confirmed is None:
        raise ConfirmationRequired(scope.thread_ids, None)
    return GO_ON


async def missing_consent(asking: Awaitable[Consent | Elicit[Consent]]) -> str | None:
    """What the real call would still need, for the answer of its dry run. A refusal of the call refuses the dry run."""
    try:
        asked = await asking
    except ConfirmationRequired as error:
        if error.given is not None:
            raise
        return error.way_out
    return f"a person's yes to: {asked.message}" if isinstance(asked, Elicit) else None
