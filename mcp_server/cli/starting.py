"""What the commands that run a server do before it runs."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcp_server.config import Config
    from mcp_server.server import HomeServer


def log_to_stderr(*, verbose: bool, ours: int) -> None:
    """Log to stderr: warnings, all with `verbose`, and what this package says from the level `ours` on."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO if verbose else logging.WARNING, format="%(message)s")
    logging.getLogger("mcp_server").setLevel(logging.INFO if verbose else ours)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)


def server_of(config: Config) -> HomeServer:
    """Import and build the server, as fast as that goes."""
    from mcp_server.gc_tuning import gc_paused, use_one_malloc_arena

    use_one_malloc_arena()
    with gc_paused():
        from mcp_server.server import build_server

        return build_server(config)
