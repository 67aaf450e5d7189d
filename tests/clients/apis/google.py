"""The Gemini API, as Gemini CLI speaks it."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from tests.clients.scripted_model import Api, Got, Json, Step, events, plain


class GenerateContent(Api):
    def conversation(self, path: str, body: Json) -> list[Got] | None:
        tools: list[Json] = body.get("tools") or []
        if "enerateContent" not in path or not any(tool.get("functionDeclarations") for tool in tools):
            return None
        contents: list[Json] = body["contents"]
        none: list[Json] = []
        parts = [part for content in contents for part in content.get("parts") or none]
        answers: list[Json] = [part["functionResponse"]["response"] for part in parts if "functionResponse" in part]
        return [Got(plain(answer.get("output", answer)), "error" in answer) for answer in answers]

    def call(self, path: str, body: Json, number: int, step: Step) -> Response:
        return _content(path, {"functionCall": {"name": step.tool, "args": step.arguments}})

    def say(self, path: str, body: Json, text: str) -> Response:
        return _content(path, {"text": text})

    def beside(self, path: str, body: Json) -> Response:
        if "countTokens" in path:
            return JSONResponse({"totalTokens": 10})
        return self.say(path, body, "ok") if "enerateContent" in path else super().beside(path, body)


def _content(path: str, part: Json) -> Response:
    answer = {
        "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 10, "totalTokenCount": 20},
    }
    return events([answer], named=False) if "stream" in path else JSONResponse(answer)
