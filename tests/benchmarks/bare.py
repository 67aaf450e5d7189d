"""The floor: the same SDK with a tool that does nothing, and one whose answer is ready. Run as
`python -m tests.benchmarks.bare`."""

from functools import cache
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp_types import CallToolResult

server = MCPServer("bare", log_level="WARNING")


@server.tool(structured_output=True)
def nothing() -> dict[str, Any]:
    """Does nothing."""
    return {}


@server.tool(structured_output=False)
def ready(path: str) -> CallToolResult:
    """Gives the answer that lies in a file. It is read once."""
    return _answer(path)


@cache
def _answer(path: str) -> CallToolResult:
    return CallToolResult.model_validate_json(Path(path).read_bytes())


if __name__ == "__main__":
    server.run("stdio")
