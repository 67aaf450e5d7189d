"""Short ways to a home's rollouts."""

from __future__ import annotations

from mcp_server.codex.files import RolloutRef
from mcp_server.errors import StoreFailure
from mcp_server.storage.contracts import Rollouts


def move_one(rollouts: Rollouts, path: str, *, archived: bool) -> RolloutRef:
    """Move a single rollout; raises what the move failed with."""
    (outcome,) = rollouts.move([RolloutRef(path)], archived=archived)
    if isinstance(outcome, StoreFailure):
        raise outcome
    return outcome
