"""YAML, by ruamel.yaml, which tells where each name stands. Edits are cuts in the text, by lines.

A section that is written in braces is written anew by ruamel.yaml, which keeps comments and order.
"""

from __future__ import annotations

import io
from typing import Any, cast

from mcp_server.cli.install.configs.format import Entry, InvalidConfig, as_table, changes, comments_in, entries


class Yaml:
    """A config file in YAML."""

    def read(self, text: str) -> dict[str, Any]:
        values = _parsed(text)
        return _plain(values) or {}

    def comments(self, text: str) -> list[str]:
        return comments_in("yaml", text)

    def put(self, text: str, section: str, name: str, entry: Entry) -> str:
        present = as_table(entries(self.read(text), section).get(name))
        if present is None:
            return _with(text, [section, name], dict(entry))
        gone, new = changes(present, entry)
        for key in gone:
            text = _without(text, [section, name, key])
        for key, value in new.items():
            text = _with(text, [section, name, key], value)
        return text

    def cut(self, text: str, section: str, name: str) -> str:
        present = entries(self.read(text), section)
        if name not in present:
            return text
        # A section with nothing in it would be null, which is none.
        return _without(text, [section, name] if len(present) > 1 else [section])


def _with(text: str, path: list[str], value: Any) -> str:
    """The text with a value, in the place of the one that is there, else as the first of its table."""
    values = _parsed(text)
    if values is None or not values.get(path[0]):
        return f"{_without(text, path[:1]) if values else text}{_separator(text)}{_dumped({path[0]: {path[1]: value}})}"
    parent, key = _parent(values, path), path[-1]
    if parent.fa.flow_style():
        parent[key] = value
        return _dumped(values)
    lines = text.splitlines(keepends=True)
    first = next(iter(parent))
    at, indentation = _line(parent, first), _column(parent, first)
    if key in parent:
        at, end = _block(lines, parent, key)
        del lines[at:end]
    block = _dumped({key: value}).splitlines(keepends=True)
    if at == len(lines) and lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    lines[at:at] = [f"{' ' * indentation}{line}" for line in block]
    return "".join(lines)


def _without(text: str, path: list[str]) -> str:
    values = _parsed(text)
    parent, key = _parent(values, path), path[-1]
    if key not in parent:
        return text
    if parent.fa.flow_style():
        del parent[key]
        return _dumped(values)
    lines = text.splitlines(keepends=True)
    at, end = _block(lines, parent, key)
    del lines[at:end]
    return "".join(lines)


def _parent(values: Any, path: list[str]) -> Any:
    for key in path[:-1]:
        values = values[key]
    return values


def _separator(text: str) -> str:
    return "" if text.endswith("\n") or not text else "\n"


def _yaml() -> Any:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1 << 20
    return yaml


def _parsed(text: str) -> Any:
    from ruamel.yaml.error import YAMLError

    try:
        values = _yaml().load(text)
    except (YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InvalidConfig(f"it is no valid YAML: {reason}") from error
    if values is not None and as_table(values) is None:
        raise InvalidConfig("it is YAML, but no table of names and values")
    return values


def _plain(values: Any) -> Any:
    """The values without what ruamel.yaml knows of their places."""
    if table := as_table(values):
        return {str(key): _plain(value) for key, value in table.items()}
    return [_plain(value) for value in cast("list[Any]", values)] if isinstance(values, list) else values


def _dumped(values: Any) -> str:
    out = io.StringIO()
    _yaml().dump(values, out)
    return out.getvalue()


def _line(parent: Any, name: str) -> int:
    return int(parent.lc.key(name)[0])


def _column(parent: Any, name: str) -> int:
    return int(parent.lc.key(name)[1])


def _block(lines: list[str], parent: Any, name: str) -> tuple[int, int]:
    """The lines of an entry: those that are indented more than its name, and the dashes below it. Comments after the
    last of its values are the next entry's."""
    start, column = _line(parent, name), _column(parent, name)
    end = start + 1
    for number in range(start + 1, len(lines)):
        line = lines[number]
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        indentation = len(line) - len(line.lstrip(" "))
        if indentation < column or (indentation == column and not line.lstrip().startswith("- ")):
            break
        end = number + 1
    return start, end
