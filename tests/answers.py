"""Answers held against all that the tool list says of them: clients check of a row only what it must have."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

TOOLS = Path(__file__).parent / "house" / "tools.json"
_AS = "As $defs/"


def check_answer(tool: str, answer: Any) -> None:
    """Raise AssertionError where the answer of a tool is not what its schema, with the rows of its lists, describes."""
    errors = _validator(tool).iter_errors(answer)  # pyright: ignore[reportUnknownMemberType]
    wrong = [f"{error.json_path}: {error.message}" for error in errors]
    assert not wrong, f"{tool}: {wrong[:5]}"


@cache
def _validator(tool: str) -> Draft202012Validator:
    (schema,) = (one["outputSchema"] for one in json.loads(TOOLS.read_text(encoding="utf-8")) if one["name"] == tool)
    return Draft202012Validator(whole(schema))


def whole(schema: Any) -> Any:
    """The schema with each row as `$defs` describes it."""
    if isinstance(schema, list):
        return [whole(part) for part in schema]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(schema, dict):
        return schema
    description = schema.get("description")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if isinstance(description, str) and description.startswith(_AS):
        return {"$ref": f"#/$defs/{description.removeprefix(_AS)}"}
    return {key: whole(part) for key, part in schema.items()}  # pyright: ignore[reportUnknownVariableType]
