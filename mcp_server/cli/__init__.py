"""The commands for people: a module for each group, put together in `entry`."""

from mcp_server.cli.entry import app, main

__all__ = ["app", "main"]
