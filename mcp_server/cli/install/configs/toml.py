"""TOML, by tomlkit, which keeps comments, order and spelling."""

from __future__ import annotations

from typing import Any

import tomlkit
from tomlkit.container import Container
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable, Item, Key, Table

from mcp_server.cli.install.configs.format import Entry, InvalidConfig, as_table, changes, comments_in, entries

_Body = list[tuple[Key | None, Item]]


class Toml:
    """A config file in TOML."""

    def read(self, text: str) -> dict[str, Any]:
        return _parsed(text).unwrap()

    def comments(self, text: str) -> list[str]:
        return comments_in("toml", text)

    def put(self, text: str, section: str, name: str, entry: Entry) -> str:
        document = _parsed(text)
        present = as_table(entries(document.unwrap(), section).get(name))
        if section not in document:
            document[section] = tomlkit.table(is_super_table=True)
        parent: Any = document[section]
        if present is None:
            parent[name] = _table(entry, inline=isinstance(parent, InlineTable))
            return tomlkit.dumps(document)
        gone, new = changes(present, entry)
        for key in gone:
            del parent[name][key]
        for key, value in new.items():
            parent[name][key] = value
        return tomlkit.dumps(document)

    def cut(self, text: str, section: str, name: str) -> str:
        document = _parsed(text)
        if name not in entries(document.unwrap(), section):
            return text
        parent: Any = document[section]
        body = _body_of(parent, name)
        if body is None:
            del parent[name]
        else:
            at = next(number for number, (key, _) in enumerate(body) if key is not None and key.key == name)
            body[at : at + 1] = _comments_below(body[at][1])
            if not any(key for key, _ in body) and parent.is_super_table():
                _replace(document, section, body)
        return tomlkit.dumps(document)


def _parsed(text: str) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text)
    except (TOMLKitError, ValueError, RecursionError) as error:
        raise InvalidConfig(f"it is no valid TOML: {error}") from error


def _table(entry: Entry, *, inline: bool) -> Table | InlineTable:
    table = tomlkit.inline_table() if inline else tomlkit.table()
    for key, value in entry.items():
        table[key] = value
    return table


def _body_of(parent: Any, name: str) -> _Body | None:
    """The parts of a section, if it is written in one piece and the entry under a header of its own."""
    if not isinstance(parent, Table) or not isinstance(parent[name], Table):
        return None
    return parent.value.body


def _comments_below(item: Item) -> _Body:
    """The comments and empty lines after the last value of a table. They stay where they are when it goes."""
    if not isinstance(item, Table):
        return []
    body: _Body = item.value.body
    last = max((number for number, (key, _) in enumerate(body) if key is not None), default=-1)
    nested = _comments_below(body[last][1]) if last >= 0 else []
    return [*nested, *body[last + 1 :]]


def _replace(document: Container, section: str, body: _Body) -> None:
    """Put what is left of a section that is written as headers of its entries alone in the section's place."""
    at = next(number for number, (key, _) in enumerate(document.body) if key is not None and key.key == section)
    document.body[at : at + 1] = body
