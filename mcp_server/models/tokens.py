"""Tokens: what a model has read and written, and how full its context window is."""

from __future__ import annotations

from typing import Annotated

import msgspec

from mcp_server.models.value import Value, about


class TokenUsage(Value):
    """Tokens that were used. Cached ones are part of the input, reasoning ones of the output."""

    input: Annotated[int, about("Tokens read by the model")] = 0
    cached: Annotated[int, about("Of these, from its cache")] = 0
    output: Annotated[int, about("Tokens written by it")] = 0
    reasoning: Annotated[int, about("Of these, reasoning")] = 0

    def __add__(self, other: TokenUsage) -> TokenUsage:
        return TokenUsage(
            input=self.input + other.input,
            cached=self.cached + other.cached,
            output=self.output + other.output,
            reasoning=self.reasoning + other.reasoning,
        )

    def since(self, before: TokenUsage) -> TokenUsage:
        """What was used after `before`. A count that is smaller was begun anew, so all of it was."""
        if self.input < before.input or self.output < before.output:
            return self
        return TokenUsage(
            input=self.input - before.input,
            cached=max(0, self.cached - before.cached),
            output=self.output - before.output,
            reasoning=max(0, self.reasoning - before.reasoning),
        )


class TokenCount(msgspec.Struct, frozen=True, array_like=True):
    """What a rollout says of tokens at one point: those used in the whole thread so far, and how much of the context
    window the last request took (None: not recorded)."""

    total: TokenUsage
    window: int | None = None
    window_size: int | None = None
