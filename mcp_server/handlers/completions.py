"""Completes the arguments of prompts and of resource templates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp_types import Completion, PromptReference

from mcp_server.handlers.app import App
from mcp_server.handlers.workers import in_worker
from mcp_server.threads.completions import Completer

_MOST = 50
_DAYS = 7
_AGES = ("24h", "7d", "14d", "30d", "90d", "180d", "365d")


def add_completions(server: MCPServer[Any], app: App) -> None:
    """Complete threads by name and id, folders, days and ages."""

    @server.completion()
    async def complete(ref: Any, argument: Any, context: Any) -> Completion | None:
        of_prompt = isinstance(ref, PromptReference)
        if of_prompt and argument.name in _TIMES:
            return _completion([one for one in _TIMES[argument.name]() if one.startswith(argument.value.lower())])
        look = (_OF_PROMPTS if of_prompt else _OF_TEMPLATES).get(argument.name)
        if look is None:
            return None
        service = await app.ready()
        return _completion(await in_worker(look, service.completer, argument.value))

    _ = complete


def _completion(values: list[str]) -> Completion:
    return Completion(values=values[:_MOST], total=len(values), has_more=len(values) > _MOST)


def _threads(completer: Completer, typed: str) -> list[str]:
    """Names, and ids where no name fits: a name is what people know."""
    return completer.names(typed) or completer.ids(typed, _MOST + 1)


def _ids(completer: Completer, typed: str) -> list[str]:
    return completer.ids(typed, _MOST + 1)


def _days() -> list[str]:
    today = datetime.now().astimezone().date()
    return ["today", "yesterday", *(f"{today - timedelta(days=ago):%Y-%m-%d}" for ago in range(2, _DAYS))]


def _ages() -> list[str]:
    return list(_AGES)


_Look = Callable[[Completer, str], list[str]]
_OF_TEMPLATES: dict[str, _Look] = {"thread_id": _ids}
_OF_PROMPTS: dict[str, _Look] = {"thread": _threads, "topic": _threads, "cwd": Completer.folders}
_TIMES: dict[str, Callable[[], list[str]]] = {"day": _days, "since": _ages, "older_than": _ages}
