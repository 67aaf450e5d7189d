"""The Messages API, as Claude Code speaks it."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import JSONResponse, Response

from tests.clients.scripted_model import Api, Got, Json, Step, events, plain

_OURS = "toolu_step_"


class Messages(Api):
    def conversation(self, path: str, body: Json) -> list[Got] | None:
        # What is asked with hardly any tool is asked beside: a title, a check of the quota.
        if not path.endswith("/v1/messages") or len(body.get("tools") or []) < 2:
            return None
        blocks = [block for message in body["messages"] for block in _blocks(message["content"])]
        return [
            Got(plain(block.get("content")), bool(block.get("is_error")))
            for block in blocks
            if block["type"] == "tool_result" and block["tool_use_id"].startswith(_OURS)
        ]

    def call(self, path: str, body: Json, number: int, step: Step) -> Response:
        use = {"type": "tool_use", "id": f"{_OURS}{number}", "name": step.tool, "input": step.arguments}
        return _message(body, use, "tool_use")

    def say(self, path: str, body: Json, text: str) -> Response:
        return _message(body, {"type": "text", "text": text}, "end_turn")

    def beside(self, path: str, body: Json) -> Response:
        if path.endswith("/count_tokens"):
            return JSONResponse({"input_tokens": 10})
        return self.say(path, body, "ok") if path.endswith("/v1/messages") else super().beside(path, body)


def _blocks(content: Any) -> list[Json]:
    return content if isinstance(content, list) else []  # pyright: ignore[reportUnknownVariableType]


def _message(body: Json, block: Json, reason: str) -> Response:
    usage = {"input_tokens": 10, "output_tokens": 10}
    message: Json = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": body.get("model"),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    if not body.get("stream"):
        return JSONResponse(message | {"content": [block], "stop_reason": reason})
    nothing: Json = {}
    if block["type"] == "text":
        empty, delta = block | {"text": ""}, {"type": "text_delta", "text": block["text"]}
    else:
        empty, delta = (
            block | {"input": nothing},
            {"type": "input_json_delta", "partial_json": json.dumps(block["input"])},
        )
    return events(
        [
            {"type": "message_start", "message": message},
            {"type": "content_block_start", "index": 0, "content_block": empty},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage},
            {"type": "message_stop"},
        ],
        named=True,
    )
