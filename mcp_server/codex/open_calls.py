"""Which tool calls of a thread wait for their outputs. An output without a call would be shown nowhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcp_server.errors import InvalidArgument


@dataclass(frozen=True)
class OpenCalls:
    """The ids of the calls that wait for an output, earlier turns included, and of all calls that this turn made."""

    waiting: frozenset[str] = frozenset()
    made: frozenset[str] = frozenset()

    def with_items(self, items: Sequence[Mapping[str, Any]]) -> OpenCalls:
        """The calls after these items.

        Raises:
            InvalidArgument: an output for a call that was not made or has its output, or a call with the id of another.
        """
        waiting, made = set(self.waiting), set(self.made)
        for number, item in enumerate(items):
            name, call_id = f"items[{number}].call_id", item.get("call_id", "")
            if item["type"] == "toolCall":
                if call_id in made:
                    raise InvalidArgument(name, call_id, "a call of this turn has this id", "give each call its own")
                made.add(call_id)
                waiting.add(call_id)
            elif item["type"] == "toolOutput":
                if call_id not in waiting:
                    why = "has its output already" if call_id in made else "was not made"
                    way_out = "append its toolCall first, in the same items or before, with the same call_id"
                    raise InvalidArgument(name, call_id, f"a call with this id {why}", way_out)
                waiting.discard(call_id)
        return OpenCalls(frozenset(waiting), frozenset(made))
