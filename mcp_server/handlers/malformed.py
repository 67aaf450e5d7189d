"""Answers malformed messages: a sentence for each request id that can still be read in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mcp_types import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    RequestId,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

_BOM = "\ufeff"
# A string (the last one may be unfinished), or a bracket. Possessive quantifiers: one pass, no backtracking.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\Z)|[][{}]', re.DOTALL)
# A number counts only if something follows it: a message cut within 123 may end in 12.
_VALUE = re.compile(r'\s*:\s*("(?:[^"\\]|\\.)*+"|-?\d++(?=\s*[,}]))?', re.DOTALL)
_MEMBERS = ("id", "method", "result", "error")
_NO_ID = "id: a request has a text or a whole number"


@dataclass(frozen=True)
class Malformed:
    """Why a text is no message. `requests`: ids in it that the sender awaits answers to. `replies`: ids of our own
    requests that it was meant to answer. `silent`: it holds only notifications, so nothing is answered."""

    error: ErrorData
    requests: tuple[RequestId, ...] = ()
    replies: tuple[RequestId, ...] = ()
    silent: bool = False

    def answers(self) -> list[JSONRPCError]:
        """The errors to send back. Without a readable id there is one with id null, as JSON-RPC wants."""
        nobody: tuple[None, ...] = () if self.silent or self.replies else (None,)
        return [JSONRPCError(jsonrpc="2.0", id=i, error=self.error) for i in self.requests or nobody]

    def errors_for_replies(self) -> list[JSONRPCError]:
        """Errors that replace the malformed replies, so that nothing waits for them for ever."""
        return [JSONRPCError(jsonrpc="2.0", id=i, error=self.error) for i in self.replies]


def read_message(text: str) -> JSONRPCMessage | Malformed:
    """Parse a message. It may begin with a byte order mark."""
    text = text.removeprefix(_BOM)
    try:
        message = jsonrpc_message_adapter.validate_json(text, by_name=False)
    except ValidationError as error:
        return _malformed(text, error)
    if isinstance(message, JSONRPCNotification) and '"id"' in text and any("id" in members for members in _scan(text)):
        return Malformed(ErrorData(code=INVALID_REQUEST, message=f"not a message of JSON-RPC 2.0: {_NO_ID}"))
    return message


def too_long(head: str, limit: int) -> Malformed:
    """The fault of a message longer than `limit` bytes, of which only the `head` was read."""
    sentence = f"a message of more than {limit} bytes; the connection ends here, so connect again and send less at once"
    return Malformed(ErrorData(code=INVALID_REQUEST, message=sentence), requests=tuple(_ids(list(_scan(head)))))


def check_body(body: bytes) -> Malformed | None:
    """Why an HTTP body is no message; None if it is one."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        scanned = list(_scan(body.decode("utf-8", "replace")))
        sentence = f"not UTF-8 at byte {error.start}; send the text as UTF-8"
        return Malformed(ErrorData(code=PARSE_ERROR, message=sentence), requests=tuple(_ids(scanned)))
    message = read_message(text)
    return message if isinstance(message, Malformed) else None


def _malformed(text: str, error: ValidationError) -> Malformed:
    messages = list(_scan(text))
    asked = [members for members in messages if "method" in members or not members.keys() & {"result", "error"}]
    replies = [members for members in messages if members not in asked]
    broken = error.errors(include_url=False)[0]["type"] == "json_invalid"
    return Malformed(
        _invalid_json(error) if broken else _invalid_message(text, error),
        requests=tuple(_ids(asked)),
        replies=tuple(_ids(replies)),
        silent=not broken and bool(messages) and all("method" in m and "id" not in m for m in messages),
    )


def _invalid_json(error: ValidationError) -> ErrorData:
    reason = str(error.errors(include_url=False)[0].get("ctx", {}).get("error", "it can't be parsed"))
    where = reason.rpartition(" at ")[2]
    if "surrogate" in reason or "hex escape" in reason:
        sentence = f"half of a character (a surrogate without its pair) at {where}; send the whole one, or leave it out"
    else:
        sentence = f"not JSON: {reason}; send one whole JSON object"
    return ErrorData(code=PARSE_ERROR, message=sentence)


def _invalid_message(text: str, error: ValidationError) -> ErrorData:
    if text.lstrip().startswith("["):
        sentence = "a batch of messages, which this protocol no longer has; send each by itself"
        return ErrorData(code=INVALID_REQUEST, message=sentence)
    wrong = {
        str(one["loc"][1]): f"{one['loc'][1]}: {one['msg'][:1].lower()}{one['msg'][1:]}"
        for one in error.errors(include_url=False)
        if len(one["loc"]) == 2 and one["loc"][0] == "JSONRPCRequest"
    }
    if "id" in wrong:
        wrong["id"] = _NO_ID
    reasons = "; ".join(wrong.values()) or "it is not an object with jsonrpc, id, method and params"
    code = INVALID_PARAMS if list(wrong) == ["params"] else INVALID_REQUEST
    return ErrorData(code=code, message=f"not a message of JSON-RPC 2.0: {reasons}")


def _scan(text: str) -> Iterator[Mapping[str, str]]:
    """The members in `_MEMBERS` of each message in a text: one object or a list of them, broken anywhere.

    A value is JSON text, or empty if it is neither an integer nor a string.
    """
    level = 2 if text.lstrip().startswith("[") else 1
    depth, members = 0, dict[str, str]()
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark in "[{":
            depth += 1
            if depth == level:
                members = {}
        elif mark in "]}":
            if depth == level and members:
                yield members
                members = {}
            depth -= 1
        elif depth == level and mark[1:-1] in _MEMBERS and (value := _VALUE.match(text, token.end())):
            members[mark[1:-1]] = value[1] or ""
    if members:
        yield members


def _ids(messages: list[Mapping[str, str]]) -> Iterator[RequestId]:
    for members in messages:
        try:
            value = json.loads(members.get("id", ""))
            if isinstance(value, str):
                value.encode()  # half a character can't be sent back
        except ValueError:
            continue
        yield value
