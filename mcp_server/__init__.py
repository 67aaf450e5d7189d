"""Threadstore: an MCP server that keeps agent threads on Codex's files."""

__all__ = ["__doc__"]
