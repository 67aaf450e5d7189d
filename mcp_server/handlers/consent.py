"""What a person is asked before an agent's call does harm, and which answers are a yes."""

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
from mcp_server.threads.cascade import AtStake

_TITLE_CHARS = 80


class Consent(BaseModel):
    """A person's answer."""

    confirm: bool = Field(description="Yes, go on")

    @field_validator("confirm", mode="before")
    @classmethod
    def _only_true_is_a_yes(cls, value: Any) -> bool:
        """Not "yes", not 1: what a client fills in by itself is no consent."""
        return value is True


GO_ON = Consent(confirm=True)


def can_elicit(ctx: AnyContext) -> bool:
    """Whether the client can put a question to a person in a form."""
    capabilities = ctx.client_capabilities
    asks = capabilities.elicitation if capabilities is not None else None
    return asks is not None and (asks.form is not None or asks.url is None)


def agreed(answer: ElicitationResult[Consent]) -> bool:
    """Whether the person said yes; declining and closing the question are a no."""
    return isinstance(answer, AcceptedElicitation) and answer.data.confirm


def shown(stake: AtStake) -> str:
    """A thread in a question: its title in quotes, so that it can't pose as words of ours, its id, what is below."""
    count = len(stake.sub_agents)
    below = f"{count} sub-agent{'' if count == 1 else 's'}"
    return f"thread {quoted(stake.title, _TITLE_CHARS)} (id {stake.thread_id}, {below})"


async def consent_of(
    app: App,
    ctx: AnyContext,
    thread_id: str,
    caller_thread_id: str | None,
    refusal: type[SelfHarm],
    *,
    itself: bool = True,
) -> Consent | Elicit[Consent]:
    """Go on without a question unless the caller would end itself or an ancestor; then a person is asked, where the
    client can. `itself`: whether its own thread counts."""
    service = await app.ready(ctx)
    harm = await in_worker(service.guard.threatened, thread_id, app.caller(ctx, caller_thread_id), itself=itself)
    if harm is None:
        return GO_ON
    if not can_elicit(ctx):
        raise refusal(*harm)
    stake = await in_worker(service.cascade.at_stake, harm[1])
    relation = "itself" if harm[0] == harm[1] else "which it runs under"
    return Elicit(f"Agent thread {harm[0]} wants to {refusal.verb} {shown(stake)}, {relation}. Allow it?", Consent)


async def consent_to_delete(
    app: App,
    ctx: AnyContext,
    stake: AtStake,
    confirm_thread_id: str | None,
    caller_thread_id: str | None,
    interrupt_running: bool,
) -> Consent | Elicit[Consent]:
    """Go on where nothing would be deleted, or nobody can be asked and the id is confirmed; else a person is asked.

    Raises:
        ConfirmationRequired: the confirmed id is another one, or nobody can be asked and none is given.
    """
    if confirm_thread_id is not None and confirm_thread_id.strip().lower() != stake.thread_id:
        raise ConfirmationRequired(stake.thread_id, confirm_thread_id)
    consent = await consent_of(app, ctx, stake.thread_id, caller_thread_id, WouldDeleteSelf)
    if isinstance(consent, Elicit):
        return consent
    if can_elicit(ctx):
        cascade = (await app.ready(ctx)).cascade
        foretold = await in_worker(cascade.delete, stake.thread_id, dry_run=True, interrupt_running=interrupt_running)
        if foretold.deleted:
            return Elicit(f"Delete {shown(stake)} for ever? There is no way back.", Consent)
    elif confirm_thread_id is None:
        raise ConfirmationRequired(stake.thread_id, None)
    return GO_ON


async def still_needed(asking: Awaitable[Consent | Elicit[Consent]]) -> str | None:
    """What a call would need besides, as its dry run tells it. What would refuse the call refuses its dry run too."""
    try:
        asked = await asking
    except ConfirmationRequired as error:
        if error.given is not None:
            raise
        return f"confirm_thread_id={error.thread_id}"
    return f"a person's yes to: {asked.message}" if isinstance(asked, Elicit) else None
