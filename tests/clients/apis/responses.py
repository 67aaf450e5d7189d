"""The Responses API, as Codex speaks it."""

from __future__ import annotations

import json

from starlette.responses import JSONResponse, Response

from tests.clients.scripted_model import Api, Got, Json, Step, events, plain

_OURS = "call_step_"
_OUTPUTS = ("function_call_output", "custom_tool_call_output", "tool_search_output")
TOOL_SEARCH = "tool_search"
"""The agent's own search among the tools that it does not show at first."""


class Responses(Api):
    def conversation(self, path: str, body: Json) -> list[Got] | None:
        if not path.endswith("/responses"):
            return None
        ours = [item for item in body["input"] if str(item.get("call_id")).startswith(_OURS)]
        return [Got(plain(item.get("output", item.get("tools")))) for item in ours if item["type"] in _OUTPUTS]

    def call(self, path: str, body: Json, number: int, step: Step) -> Response:
        item: Json = {"id": f"item_{number}", "call_id": f"{_OURS}{number}", "name": step.tool}
        if step.tool == TOOL_SEARCH:
            search = {"type": "tool_search_call", "status": "completed", "execution": "client"}
            return _response(item | search | {"arguments": step.arguments})
        if step.code is not None:
            return _response(item | {"type": "custom_tool_call", "input": step.code})
        space = {"namespace": step.namespace} if step.namespace else {}
        return _response(item | space | {"type": "function_call", "arguments": json.dumps(step.arguments)})

    def say(self, path: str, body: Json, text: str) -> Response:
        content = [{"type": "output_text", "text": text}]
        return _response({"type": "message", "id": "msg_1", "role": "assistant", "content": content})

    def beside(self, path: str, body: Json) -> Response:
        if path.endswith("/models"):
            return JSONResponse({"object": "list", "data": [], "models": []})
        return super().beside(path, body)


def _response(item: Json) -> Response:
    begun: Json = {**item, "content": []} if item["type"] == "message" else item
    usage = {"input_tokens": 10, "output_tokens": 10, "total_tokens": 20}
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    return events(
        [
            {"type": "response.created", "response": {"id": "resp_1"}},
            {"type": "response.output_item.added", "output_index": 0, "item": begun},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": {"id": "resp_1", "usage": usage | details}},
        ],
        named=True,
    )
