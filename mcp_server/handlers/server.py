"""The MCP server class: it turns errors into answers, and gives a repeated request its first result."""

from __future__ import annotations

import logging
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, GetPromptResult, InputRequiredResult, Resource
from pydantic import ValidationError

from mcp_server.errors import StateDamaged, ThreadstoreError
from mcp_server.handlers.app import AnyContext, App
from mcp_server.handlers.arguments import Arguments
from mcp_server.handlers.errors import domain_failure, failure, unclear_answer, unexpected_error, unknown_tool
from mcp_server.handlers.faces import fenced_structure
from mcp_server.handlers.idempotency import current_request, one_at_a_time, request_of
from mcp_server.handlers.prompts import check_prompt
from mcp_server.handlers.resources import threads_as_resources
from mcp_server.handlers.stdio import claim_stdin, claim_stdout
from mcp_server.handlers.wire import message_streams

logger = logging.getLogger(__name__)

# Clients, by name, that show a model the structure of an answer and not its text.
_STRUCTURE_ALONE = ("claude-code", "codex")


def shows_structure_alone(ctx: AnyContext) -> bool:
    """Whether the client is one that shows a model the structured content alone."""
    params = ctx.session.client_params
    return params is not None and params.client_info.name.startswith(_STRUCTURE_ALONE)


class ThreadstoreServer(MCPServer[str]):
    """`MCPServer` with domain errors and receipts. The composition root sets `app`."""

    app: App

    async def run_stdio_async(self) -> None:
        """Like the SDK's, but lines are bounded, pipes are awaited without threads, and every request is answered."""
        at_end = self.app.events.stop_waiting
        async with message_streams(claim_stdin(), claim_stdout(), at_end) as (read, write):
            await self._lowlevel_server.run(read, write, self._lowlevel_server.create_initialization_options())

    async def list_resources(self) -> list[Resource]:
        """The threads worked on last, and what is always there."""
        return [*await threads_as_resources(self.app), *await super().list_resources()]

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: AnyContext | None = None
    ) -> GetPromptResult | InputRequiredResult:
        """Check the arguments first: the SDK's own error says nothing to a client of 2026-07-28."""
        given = {key: value for key, value in (arguments or {}).items() if value is not None and str(value).strip()}
        check_prompt(name, given, await self.list_prompts())
        return await super().get_prompt(name, given, context)

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: AnyContext | None = None
    ) -> CallToolResult | InputRequiredResult:
        if self._tool_manager.get_tool(name) is None:
            return unknown_tool(name, [tool.name for tool in self._tool_manager.list_tools()])
        fenced_structure.set(context is not None and shows_structure_alone(context))
        try:
            if context is not None and not self.is_read_only(name):
                return await self._once(name, arguments, context)
            return await self._run(name, arguments, context)
        except ThreadstoreError as error:
            return domain_failure(error)
        except UnexpectedToolError:
            logger.exception("%s failed unexpectedly", name)
            return unexpected_error(name)
        except ToolError as error:  # from the SDK: a person's answer does not fit the question
            return failure("invalid_answer", str(error))
        finally:
            self.app.feed.wake()

    async def _run(
        self, name: str, arguments: dict[str, Any], context: AnyContext | None
    ) -> CallToolResult | InputRequiredResult:
        try:
            return await self._call(name, arguments, context)
        except ToolError as error:
            cause = error.__cause__
            if isinstance(cause, ThreadstoreError):
                raise cause from error
            if isinstance(cause, ValidationError):
                return self.check_of(name).refusal(name, arguments, cause)
            if type(cause) is ToolError:  # from the SDK: it could not use the client's answer to a question
                return unclear_answer(name)
            raise
        except MCPError:
            if self._asks(name):  # the client answered the question with an error
                return unclear_answer(name)
            raise

    async def _call(
        self, name: str, arguments: dict[str, Any], context: AnyContext | None
    ) -> CallToolResult | InputRequiredResult:
        """Call the tool. If the state DB proves damaged, call a read-only tool once more: now the files answer."""
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if not (isinstance(error.__cause__, StateDamaged) and self.is_read_only(name)):
                raise
            return await super().call_tool(name, arguments, context)

    async def _once(
        self, name: str, arguments: dict[str, Any], context: AnyContext
    ) -> CallToolResult | InputRequiredResult:
        """Do the call. With a request id, answer a repetition with the first result."""
        given = self.check_of(name).pre_parse_json(arguments)
        request = request_of(self.app, context, name, given, repeatable=self._is_idempotent(name))
        if request is None:
            return await self._run(name, arguments, context)
        await self.app.ready(context)
        async with one_at_a_time(request.claim.key):
            if (earlier := await request.earlier_result()) is not None:
                return earlier
            before = current_request.set(request)
            try:
                return await self._run(name, arguments, context)
            finally:
                current_request.reset(before)

    def _is_idempotent(self, name: str) -> bool:
        tool = self._tool_manager.get_tool(name)
        return bool(tool and tool.annotations and tool.annotations.idempotent_hint)

    def _asks(self, name: str) -> bool:
        tool = self._tool_manager.get_tool(name)
        return bool(tool and tool.resolved_params)

    def check_of(self, name: str) -> Arguments:
        """The check of a tool's arguments."""
        tool = self._tool_manager.get_tool(name)
        assert tool is not None
        assert isinstance(tool.fn_metadata, Arguments)
        return tool.fn_metadata

    def is_read_only(self, name: str) -> bool:
        tool = self._tool_manager.get_tool(name)
        return bool(tool and tool.annotations and tool.annotations.read_only_hint)
