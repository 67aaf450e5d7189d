"""Somebody in front of the client, who answers what the server asks."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio
from mcp.client import ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitResult

YES = ElicitResult(action="accept", content={"confirm": True})
NO = [
    ElicitResult(action="accept", content={"confirm": False}),
    ElicitResult(action="decline"),
    ElicitResult(action="cancel"),
]


@dataclass
class Person:
    """Gives one answer to every question, and remembers the questions."""

    answer: ElicitResult
    asked: list[str] = field(default_factory=list[str])

    async def __call__(self, _: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        assert not isinstance(params.message, type(None))
        self.asked.append(params.message)
        return self.answer


class SlowPerson(Person):
    """Thinks until they are `hurried`."""

    def __init__(self, answer: ElicitResult) -> None:
        super().__init__(answer)
        self.reads, self.hurried = anyio.Event(), anyio.Event()

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        self.reads.set()
        await self.hurried.wait()
        return await super().__call__(context, params)
