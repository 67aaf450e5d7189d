"""Prompts for what people ask of their threads. Each brings what was found with it: a model can answer at once."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from mcp.server.mcpserver import Context, MCPServer
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, Prompt
from pydantic import Field

from mcp_server.errors import ThreadstoreError
from mcp_server.handlers import prompt_texts as texts
from mcp_server.handlers.app import App
from mcp_server.handlers.errors import code_of, with_code
from mcp_server.handlers.workers import in_worker
from mcp_server.models.quoting import quoted
from mcp_server.threads.digests import Digests

T = TypeVar("T")

_CHARS = 300
_Folder = Annotated[str | None, Field(description="Only of this project: its folder, or the folder's bare name")]


def add_prompts(server: MCPServer[Any], app: App, offered: Collection[str]) -> None:
    """Add the prompts. One whose answer needs a tool is left out where that tool is not `offered`."""
    _add_prompts_of_a_thread(server, app)
    _add_reviews(server, app)
    _add_what_was_running(server, app)
    if "thread_archive" in offered:
        _add_clean_up(server, app)


async def _found(app: App, ctx: Context, look: Callable[[Digests], T]) -> T:
    """What the home has.

    Raises:
        MCPError: with the sentence and the code of the error.
    """
    service = await app.ready(ctx)
    try:
        return await in_worker(look, service.digests)
    except ThreadstoreError as error:
        raise MCPError(INVALID_PARAMS, with_code(code_of(error), str(error))) from error


def _add_prompts_of_a_thread(server: MCPServer[Any], app: App) -> None:
    @server.prompt(title="Continue a thread")
    async def continue_thread(
        ctx: Context, topic: Annotated[str, Field(description="What it was about, or its name or id")]
    ) -> str:
        """Carry on with earlier work: brings the thread on a topic, as it stands."""
        thread = await _found(app, ctx, lambda digests: digests.about(topic))
        blocks = texts.found_blocks(thread)
        if thread.brief is None:
            ask = f"I want to carry on with earlier work on {quoted(topic, _CHARS)}, but no thread fits."
            return texts.prompt_text(f"{ask} Ask me for other words, in view of what is known of these:", blocks)
        ask = f"Carry on with the earlier work on {quoted(topic, _CHARS)}. This is how its thread stands."
        rest = "Tell me in five lines what was done, what is open and what you would do next, then begin with it."
        return texts.prompt_text(f"{ask} {rest} If another of the threads fits better, ask me first.", blocks)

    @server.prompt(title="Hand a thread over")
    async def hand_over(
        ctx: Context,
        thread: Annotated[str | None, Field(description="Id or name; else the one worked on last")] = None,
    ) -> str:
        """Write a hand-over of a thread: brings its goal, state, decisions, open points and last answers."""
        brief = await _found(app, ctx, lambda digests: digests.brief(thread))
        ask = (
            "Write a hand-over of this thread for somebody who has not seen it: the goal, what is done, what was "
            "decided and why, what failed, which files changed, what is open and what comes next. Keep to what stands "
            "here, and say where it is not enough."
        )
        return texts.prompt_text(ask, texts.brief_blocks(brief))

    _ = (continue_thread, hand_over)


def _add_reviews(server: MCPServer[Any], app: App) -> None:
    @server.prompt(title="Review a day")
    async def daily_review(
        ctx: Context,
        day: Annotated[str | None, Field(description="today (default), yesterday or a date")] = None,
        cwd: _Folder = None,
    ) -> str:
        """Review a day's work over all projects: brings its threads, with what was asked and answered, and counts."""
        review = await _found(app, ctx, lambda digests: digests.day(day or "today", cwd))
        ask = f"Review what my agents and I did on this day ({quoted(day or 'today', _CHARS)})"
        rest = "by project: what was done, what failed, what is open, what I should look at first. Be brief."
        return texts.prompt_text(f"{ask}{_where(cwd)}, {rest}", texts.review_blocks(review))

    @server.prompt(title="Review a week")
    async def weekly_review(
        ctx: Context,
        since: Annotated[str | None, Field(description="From when on: an age or a date; default 7d")] = None,
        cwd: _Folder = None,
    ) -> str:
        """Review the last week's work: brings its threads, with what was asked and answered, and counts by day."""
        review = await _found(app, ctx, lambda digests: digests.since(since or "7d", cwd))
        ask = f"Review what my agents and I did since {quoted(since or '7d', _CHARS)}{_where(cwd)}"
        rest = "by project: results, decisions, what failed again and again, what was begun and left. Be brief."
        return texts.prompt_text(f"{ask}, {rest}", texts.review_blocks(review))

    _ = (daily_review, weekly_review)


def _add_what_was_running(server: MCPServer[Any], app: App) -> None:
    @server.prompt(title="See what was running")
    async def what_was_running(
        ctx: Context,
        since: Annotated[str | None, Field(description="Worked on since then: an age or a date; default 7d")] = None,
        cwd: _Folder = None,
    ) -> str:
        """See what runs now and what a crash has cut off: brings threads and sub-agents whose last turn has no end."""
        running = await _found(app, ctx, lambda digests: digests.running(since or "7d", cwd))
        about = f"worked on since {quoted(since or '7d', _CHARS)}{_where(cwd)}"
        if not running.threads:
            return f"No thread {about} is running, and none has crashed. Tell me so."
        ask = f"These are the threads {about} whose last turn has no end: running in some process, or crashed."
        rest = (
            "Tell me for each what it was at, whether it still runs, and how to take it up again; crashed ones first."
        )
        return texts.prompt_text(f"{ask} {rest}", texts.running_blocks(running))

    _ = what_was_running


def _add_clean_up(server: MCPServer[Any], app: App) -> None:
    @server.prompt(title="Clean up")
    async def clean_up(
        ctx: Context,
        older_than: Annotated[str | None, Field(description="Not worked on for: an age; default 30d")] = None,
        cwd: _Folder = None,
    ) -> str:
        """Archive old threads after a look: brings those without a name or tag that nobody has worked on for long."""
        old = await _found(app, ctx, lambda digests: digests.unattended(older_than or "30d", cwd))
        about = f"worked on since {quoted(older_than or '30d', _CHARS)}{_where(cwd)}"
        if not old.threads:
            return f"Every thread that was not {about} has a name or a tag, or is archived. Tell me so."
        ask = f"These threads have neither name nor tag and were not {about}. Group them, and say which you would keep."
        rest = "Wait for my yes, then archive the others with thread_archive (thread_ids), and show me the receipt."
        return texts.prompt_text(f"{ask} {rest}", texts.unattended_blocks(old))

    _ = clean_up


def _where(cwd: str | None) -> str:
    return f" in {quoted(cwd, _CHARS)}" if cwd else ""


def check_prompt(name: str, given: Mapping[str, Any], known: Sequence[Prompt]) -> None:
    """Check that a prompt exists and that the arguments fit it.

    Raises:
        MCPError: with a sentence that names what is wrong.
    """
    prompt = next((prompt for prompt in known if prompt.name == name), None)
    if prompt is None:
        names = ", ".join(prompt.name for prompt in known)
        raise MCPError(INVALID_PARAMS, f"there is no prompt {name!r}; take one of {names}")
    wanted = prompt.arguments or []
    for one in wanted:
        if one.required and not str(given.get(one.name, "")).strip():
            means = f" ({one.description})" if one.description else ""
            raise MCPError(INVALID_PARAMS, f"prompt {name} needs the argument {one.name}{means}; pass it in arguments")
    names = [one.name for one in wanted]
    if unknown := [key for key in given if key not in names]:
        raise MCPError(INVALID_PARAMS, f"prompt {name} has no argument {unknown[0]!r}; it takes {', '.join(names)}")
