"""`threadstore tree`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mcp_server.cli.options import HomeOption
from mcp_server.cli.shell.filters import JsonOption, ThreadArgument
from mcp_server.cli.shell.refusals import ends_well

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text
    from rich.tree import Tree

    from mcp_server.models.results import TreeNode, TreeResult


@ends_well
def tree(thread: ThreadArgument, json: JsonOption = False, home: HomeOption = None) -> None:
    """Draw the sub-agents of a thread, and what is above it."""
    from mcp_server.cli.shell.opening import FIGURES_SECONDS, opened
    from mcp_server.cli.shell.screen import Screen

    with opened(home, reading_seconds=FIGURES_SECONDS) as service:
        found = service.tree.show(thread)
    screen = Screen()
    if json:
        screen.json(found)
    else:
        screen.page(_shown(found, rich=screen.rich))


def _shown(found: TreeResult, *, rich: bool) -> Iterator[RenderableType]:
    from rich.text import Text

    from mcp_server.cli.shell.safe_text import safe_line
    from mcp_server.cli.shell.times import short_number
    from mcp_server.models.counting import counted
    from mcp_server.models.short_ids import beginnings

    ids = {node.thread_id for node in found.nodes}
    short = beginnings(ids) if rich else {one: one for one in ids}
    yield _drawn(found, short)
    for fork in found.forks or ():
        archived = ", archived" if fork.archived else ""
        yield f"fork of {fork.forked_from_id}: {safe_line(fork.title)} {fork.thread_id}{archived}"
    if found.tokens:
        used = short_number(found.tokens.input + found.tokens.output)
        yield Text(f"{counted(found.total, 'thread')}, {used} tokens", "dim")


def _drawn(found: TreeResult, short: dict[str, str]) -> Tree:
    from rich.tree import Tree

    drawn: dict[str, Tree] = {}
    for node in found.nodes:
        label = _label(node, short[node.thread_id], asked=node.thread_id == found.thread_id)
        above = drawn.get(node.parent_thread_id or "")
        drawn[node.thread_id] = Tree(label, guide_style="dim") if above is None else above.add(label)
    return drawn[found.root_thread_id]


def _label(node: TreeNode, thread_id: str, *, asked: bool) -> Text:
    from rich.text import Text

    from mcp_server.cli.shell.rows import STATE_STYLES
    from mcp_server.cli.shell.safe_text import safe_line
    from mcp_server.cli.shell.times import short_number
    from mcp_server.models.counting import counted

    role = f"({safe_line(node.role)})" if node.role else ""
    who = " ".join(part for part in (safe_line(node.nickname or ""), role) if part)
    told = Text.assemble((f"{who}: " if who else "", "magenta"), (safe_line(node.title), "bold" if asked else ""))
    facts = [counted(node.turns, "turn")] if node.turns is not None else []
    if node.tokens:
        facts.append(f"{short_number(node.tokens.input + node.tokens.output)} tokens")
    if node.status == "missing":
        facts.append("missing")
    if node.running_in:
        facts.append(f"open in {safe_line(node.running_in)}")
    if node.archived:
        facts.append("archived")
    told.append(f"  {', '.join(facts)}" if facts else "", "dim")
    if node.last_turn and node.last_turn != "completed":
        told.append(f" {node.last_turn}", STATE_STYLES.get(node.last_turn, ""))
    return told.append(f"  {thread_id}", "cyan")
