"""`python -m mcp_server` does what `threadstore` does."""

from mcp_server.cli import main

if __name__ == "__main__":
    main()
