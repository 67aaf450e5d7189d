"""What the SDK makes of our answers is what it makes of its own."""

from __future__ import annotations

from typing import Any

import pytest
from mcp_types import CallToolResult

from mcp_server.handlers.schema import reply
from mcp_server.models.results import LoadedListResult


@pytest.mark.parametrize(
    "options",
    [
        {"by_alias": True, "mode": "json", "exclude_none": True},  # on its way to a client
        {"mode": "json"},
        {},
    ],
)
def test_an_answer_is_dumped_as_the_sdk_dumps_its_own(options: dict[str, Any]) -> None:
    answer = reply(LoadedListResult(data=["a"], total=1))
    plain = CallToolResult(content=answer.content, structured_content=answer.structured_content)
    assert answer.model_dump(**options) == plain.model_dump(**options)
    assert CallToolResult.model_validate(answer.model_dump(mode="json", by_alias=True)) == plain
