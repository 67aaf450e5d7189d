"""Ready-made prompts for what people ask of their threads."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, Prompt
from pydantic import Field

from mcp_server.models.quoting import plain_or_quoted, quoted

_CHARS = 1_000


def add_prompts(server: MCPServer[Any]) -> None:
    @server.prompt(title="Find a thread")
    def find_thread(about: Annotated[str, Field(description="What the thread was about")]) -> str:
        """Find the thread in which something was discussed."""
        return (
            f"Find the thread about {quoted(about, _CHARS)}.\n\n"
            "Call thread_search with the most telling word; if nothing fits, try other words and thread_list with "
            "search_term. Show me the best matches with id, name, date and the matching snippet."
        )

    @server.prompt(title="Carry on where I stopped")
    def carry_on(thread: Annotated[str, Field(description="Id or name of the thread")]) -> str:
        """Resume a thread and sum up where it stands."""
        return (
            f"Resume the thread {plain_or_quoted(thread, _CHARS)} with thread_resume, read its last turns, and tell me "
            "in five lines what was done, what is open and what you would do next. Record what we do from here with "
            "turn_start, turn_append and turn_complete. If another process holds it, say who and offer thread_fork."
        )

    @server.prompt(title="Archive a project")
    def archive_project(cwd: Annotated[str, Field(description="The project's working directory")]) -> str:
        """Archive all threads of a project, after showing them."""
        return (
            f"List all active threads with cwd {quoted(cwd, _CHARS)} (thread_list, every page). Show me the list and "
            "wait for my yes. Then call thread_archive for each, first with dry_run, and show me the receipts."
        )

    _ = (find_thread, carry_on, archive_project)


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
        if not str(given.get(one.name, "")).strip():
            means = f" ({one.description})" if one.description else ""
            raise MCPError(INVALID_PARAMS, f"prompt {name} needs the argument {one.name}{means}; pass it in arguments")
    names = [one.name for one in wanted]
    if unknown := [key for key in given if key not in names]:
        raise MCPError(INVALID_PARAMS, f"prompt {name} has no argument {unknown[0]!r}; it takes {', '.join(names)}")
