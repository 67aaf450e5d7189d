"""The Chat Completions API, as opencode speaks it, and any client of a provider that is compatible with OpenAI's."""

from __future__ import annotations

import json

from starlette.responses import JSONResponse, Response

from tests.clients.scripted_model import Api, Got, Json, Step, events, plain

_OURS = "call_step_"


class ChatCompletions(Api):
    def conversation(self, path: str, body: Json) -> list[Got] | None:
        if not path.endswith("/chat/completions") or not body.get("tools"):
            return None
        answers = [message for message in body["messages"] if message["role"] == "tool"]
        return [Got(plain(one["content"])) for one in answers if one["tool_call_id"].startswith(_OURS)]

    def call(self, path: str, body: Json, number: int, step: Step) -> Response:
        function = {"name": step.tool, "arguments": json.dumps(step.arguments)}
        call = {"id": f"{_OURS}{number}", "type": "function", "index": 0, "function": function}
        return _completion(body, {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls")

    def say(self, path: str, body: Json, text: str) -> Response:
        return _completion(body, {"role": "assistant", "content": text}, "stop")

    def beside(self, path: str, body: Json) -> Response:
        return self.say(path, body, "ok") if path.endswith("/chat/completions") else super().beside(path, body)


def _completion(body: Json, message: Json, reason: str) -> Response:
    usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
    head = {"id": "chat_1", "created": 0, "model": body.get("model")}
    if not body.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": reason}
        return JSONResponse(head | {"object": "chat.completion", "choices": [choice], "usage": usage})
    chunk: Json = head | {"object": "chat.completion.chunk"}
    said: Json = chunk | {"choices": [{"index": 0, "delta": message, "finish_reason": None}]}
    ended: Json = chunk | {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}], "usage": usage}
    return events([said, ended, "[DONE]"], named=False)
