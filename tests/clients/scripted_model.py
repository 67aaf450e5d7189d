"""A model on loopback that plays a script of tool calls, which a real agent carries out, and keeps what the agent sent
it: exactly what a model would have read.

The next step is worked out from the conversation that a request carries, never counted: agents repeat requests, and ask
beside them for titles and the like.
"""

from __future__ import annotations

import json
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Json = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One tool call, under the name that the agent knows the tool by. `namespace` and `code` are Codex's: the group
    that a tool is in, and the program that a model writes instead of arguments."""

    tool: str
    arguments: Json = field(default_factory=dict[str, Any])
    namespace: str | None = None
    code: str | None = None


@dataclass(frozen=True)
class Got:
    """What the model was sent for one of its calls, and whether that was marked as an error, where the API can."""

    text: str
    is_error: bool | None = None


Script = Callable[[Sequence[Got]], Step | None]
"""The next step of a model that was sent this for its steps so far; None at the end."""


class Api(ABC):
    """The API of one provider of models, as far as an agent needs it."""

    @abstractmethod
    def conversation(self, path: str, body: Json) -> list[Got] | None:
        """What was sent for the calls so far, in order; None where the request is not of the agent's conversation."""

    @abstractmethod
    def call(self, path: str, body: Json, number: int, step: Step) -> Response:
        """The answer that calls a tool, as the number-th call from 0."""

    @abstractmethod
    def say(self, path: str, body: Json, text: str) -> Response:
        """The answer that ends the turn."""

    def beside(self, path: str, body: Json) -> Response:
        """The answer to any other request."""
        return JSONResponse({"error": {"message": "not scripted"}}, 404)


class ScriptedModel:
    """Plays a script, then says that it is done. `got` has what it was sent for each step."""

    def __init__(self, api: Api, script: Script) -> None:
        self._api, self._script = api, script
        self.got: list[Got] = []

    async def answer(self, request: Request) -> Response:
        raw = await request.body()
        path = request.url.path
        body: Json = json.loads(raw) if raw else {}
        so_far = self._api.conversation(path, body)
        if so_far is None:
            return self._api.beside(path, body)
        if len(so_far) > len(self.got):
            self.got = so_far
        try:
            step = self._script(so_far)
        except LookupError as error:  # an answer lacks what the next call needs
            return self._api.say(path, body, str(error))
        if step is None:
            return self._api.say(path, body, "done")
        return self._api.call(path, body, len(so_far), step)


@contextmanager
def served(model: ScriptedModel) -> Generator[str]:
    """The model's server on a free port of this machine; yields its URL."""
    routes = [Route("/{path:path}", model.answer, methods=["GET", "HEAD", "POST", "PUT", "DELETE"])]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="warning"))
    with socket.create_server(("127.0.0.1", 0)) as listening:  # whoever connects before it runs waits in the queue
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


def events(sent: Sequence[Json | str], *, named: bool) -> Response:
    """Server-sent events; `named` by the type that each carries."""
    lines = [
        (f"event: {one['type']}\n" if named and isinstance(one, dict) else "")
        + f"data: {one if isinstance(one, str) else json.dumps(one)}\n\n"
        for one in sent
    ]
    return Response("".join(lines), media_type="text/event-stream")


def plain(content: Any) -> str:
    """All text of what was sent for a call, whatever blocks the agent put it in."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(plain(part) for part in content)  # pyright: ignore[reportUnknownVariableType]
    if isinstance(content, dict) and isinstance(text := content.get("text"), str):  # pyright: ignore
        return text
    return "" if content is None else json.dumps(content, ensure_ascii=False)
