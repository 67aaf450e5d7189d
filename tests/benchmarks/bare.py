"""The floor: the same SDK with one tool that does nothing. Run as `python -m tests.benchmarks.bare`."""

from typing import Any

from mcp.server.mcpserver import MCPServer

server = MCPServer("bare", log_level="WARNING")


@server.tool(structured_output=True)
def nothing() -> dict[str, Any]:
    """Does nothing."""
    return {}


if __name__ == "__main__":
    server.run("stdio")
