"""`threadstore install`: registers this installation with the MCP clients of this machine."""
