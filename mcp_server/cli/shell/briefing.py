"""`threadstore brief`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mcp_server.cli.options import HomeOption
from mcp_server.cli.shell.filters import JsonOption, ThreadArgument
from mcp_server.cli.shell.refusals import ends_well

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mcp_server.models.results import BriefAnswer, BriefResult

_TITLE_CHARS = 120


@ends_well
def brief(thread: ThreadArgument, json: JsonOption = False, home: HomeOption = None) -> None:
    """Sum a thread up for whoever takes it over: goal, state, decisions, answers, open points, files, failures."""
    from mcp_server.cli.shell.opening import opened
    from mcp_server.cli.shell.screen import Screen

    with opened(home) as service:
        found = service.brief.show(thread)
    screen = Screen()
    if json:
        screen.json(found)
    else:
        screen.page(_shown(found))


def _shown(found: BriefResult) -> Iterator[RenderableType]:
    from rich.padding import Padding
    from rich.text import Text

    from mcp_server.cli.shell.safe_text import safe_line, safe_lines
    from mcp_server.models.heading import shortened

    yield Text(shortened(safe_line(found.name or found.goal), _TITLE_CHARS) or found.thread_id, "bold")
    for title, lines in _sections(found):
        shown = [line for line in lines if line]
        if shown:
            yield ""
            yield Text(title, "bold blue")
            yield Padding(Text(safe_lines("\n".join(shown))), (0, 0, 0, 2), expand=False)
    if found.more:
        yield ""
        more = ", ".join(f"{name.replace('_', ' ')} ({number})" for name, number in found.more.items())
        yield Text(f"Left out: {more}.", "dim")
    yield ""
    yield Text(f"threadstore show {found.thread_id}", "dim")


def _sections(found: BriefResult) -> Iterator[tuple[str, list[str]]]:
    yield "Goal", [found.goal]
    yield "State", list(_state(found))
    yield "Open points", [f"- {point}" for point in found.open_points or ()]
    yield "Decisions", [f"- {decision}" for decision in found.decisions or ()]
    yield "Last turns", [line for answer in found.answers or () for line in _turn(answer)]
    yield "Files", [f"- {path}" for path in found.files or ()]
    yield "Failures", [f"- {failure.what}: {failure.error}" for failure in found.failures or ()]
    yield (
        "Sub-agents",
        [
            f"- {agent.name}{f' ({agent.status})' if agent.status else ''}: {agent.answer or ''} {agent.thread_id}"
            for agent in found.sub_agents or ()
        ],
    )


def _state(found: BriefResult) -> Iterator[str]:
    from mcp_server.cli.shell.times import short_number
    from mcp_server.models.counting import counted

    state = found.state
    last = f", the last one {state.last_turn}" if state.last_turn else ""
    yield f"{counted(state.turns, 'turn')}{last}, worked on {_time(state.worked_on)}"
    yield f"failed: {state.error}" if state.error else ""
    yield f"open in {state.held_by}" if state.held_by else ""
    yield "archived" if state.archived else ""
    branch = f" on {found.branch}" if found.branch else ""
    yield f"in {found.cwd}{branch}" if found.cwd else ""
    yield f"tags: {', '.join(found.tags)}" if found.tags else ""
    yield f"sub-agent of {found.parent_thread_id}" if found.parent_thread_id else ""
    if state.tokens:
        yield f"{short_number(state.tokens.input + state.tokens.output)} tokens"


def _turn(turn: BriefAnswer) -> Iterator[str]:
    told = f" ({turn.status})" if turn.status else ""
    yield f"- {_time(turn.at) if turn.at else ''}{told}".rstrip()
    if turn.asked:
        yield f"  asked: {turn.asked}"
    if turn.answer:
        yield f"  answer: {turn.answer}"


def _time(text: str) -> str:
    from mcp_server.cli.shell.times import local_time
    from mcp_server.models.times import parse_time

    ms = parse_time(text)
    return text if ms is None else local_time(ms // 1000)
