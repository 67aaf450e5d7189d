"""JSON, also with comments and commas at the end, as editors have it. Edits are cuts in the text.

The json module reads the values and says what is wrong where; Pygments finds the comments. On PyPI no well-kept library
keeps comments without a Node beside it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from mcp_server.cli.install.configs.format import (
    Entry,
    InvalidConfig,
    as_table,
    changes,
    comments_in,
    entries,
    tokens,
)

_SPACE = re.compile(r"\s*")


@dataclass(frozen=True)
class _Member:
    """Where a name begins, where its value begins, and where that ends."""

    key: str
    start: int
    value: int
    end: int


@dataclass(frozen=True)
class _Object:
    """From its opening brace to its closing one."""

    start: int
    end: int
    members: Sequence[_Member]

    def member(self, key: str) -> _Member | None:
        """The last of this name, as the json module takes it."""
        return next((one for one in reversed(self.members) if one.key == key), None)


@dataclass(frozen=True)
class Json:
    """JSON as one program reads it: whether it takes comments, and a comma after the last value."""

    takes_comments: bool = False
    takes_last_commas: bool = False

    def read(self, text: str) -> dict[str, Any]:
        bare = self._bare(text)
        if not bare.strip():
            return {}
        try:
            values: Any = json.loads(bare)
        except (ValueError, RecursionError) as error:
            raise InvalidConfig(f"it is no valid JSON: {error}") from error
        table = as_table(values)
        if table is None:
            raise InvalidConfig("it is JSON, but no object")
        return table

    def comments(self, text: str) -> list[str]:
        return comments_in("json", text) if self.takes_comments else []

    def put(self, text: str, section: str, name: str, entry: Entry) -> str:
        present = as_table(entries(self.read(text), section).get(name))
        if present is None:
            return self._set(text, (section, name), dict(entry))
        gone, new = changes(present, entry)
        for key in gone:
            text = self._without(text, (section, name, key))
        for key, value in new.items():
            text = self._set(text, (section, name, key), value)
        return text

    def cut(self, text: str, section: str, name: str) -> str:
        return self._without(text, (section, name)) if name in entries(self.read(text), section) else text

    # ------------------------------------------------------------------------------------------ edits

    def _set(self, text: str, path: Sequence[str], value: Any) -> str:
        bare = self._bare(text)
        if not bare.strip():
            head = f"{text.rstrip()}\n" if text.strip() else ""
            return f"{head}{json.dumps(_nested(path, value), indent=2, ensure_ascii=False)}\n"
        found = _object(bare, _after_space(bare, 0))
        for depth, key in enumerate(path, start=1):
            member = found.member(key)
            if member is None:
                return self._inserted(text, found, key, _nested(path[depth:], value))
            if depth == len(path):
                written = _written(value, _unit(text, bare), _indentation(text, member.start))
                return text[: member.value] + written + text[member.end :]
            found = _object(bare, member.value)
        raise AssertionError("a path has a name")

    def _inserted(self, text: str, found: _Object, key: str, value: Any) -> str:
        """The text with a new last member."""
        unit, outside = _unit(text, self._bare(text)), _indentation(text, found.start)
        first = found.members[0].start if found.members else None
        inside = _indentation(text, first) if first is not None and _begins_line(text, first) else outside + unit
        written = f"{json.dumps(key, ensure_ascii=False)}: {_written(value, unit, inside)}"
        last = found.members[-1].end if found.members else found.start + 1
        has_comma = "," in self._without_comments(text)[last : found.end]
        rest = text[last : found.end]
        between, closing = rest.rstrip(), rest[len(rest.rstrip()) :]
        comma = "," if found.members and not has_comma else ""
        written = f"\n{inside}{written}{',' if has_comma else ''}"
        return text[:last] + comma + between + written + _line_end(closing, outside) + text[found.end :]

    def _without(self, text: str, path: Sequence[str]) -> str:
        bare, plain = self._bare(text), self._without_comments(text)
        found = _object(bare, _after_space(bare, 0))
        for key in path[:-1]:
            found = _object(bare, next(one.value for one in found.members if one is found.member(key)))
        for member in reversed([one for one in found.members if one.key == path[-1]]):
            text = _without_member(text, plain, found, member)
        rest = text[found.start + 1 :].lstrip()
        return f"{text[: found.start + 1]}{rest}" if rest.startswith("}") else text

    # ------------------------------------------------------------------------------------------ what JSON has not

    def _bare(self, text: str) -> str:
        """The text as plain JSON: all that is more is blank, so that each place stays where it is."""
        plain = self._without_comments(text)
        return _blanked(plain, _last_commas(plain)) if self.takes_last_commas else plain

    def _without_comments(self, text: str) -> str:
        if not self.takes_comments:
            return text
        from pygments.token import Comment

        return _blanked(text, ((at, at + len(value)) for at, kind, value in tokens("json", text) if kind in Comment))


def _blanked(text: str, spans: Iterable[tuple[int, int]]) -> str:
    parts, done = list[str](), 0
    for start, end in spans:
        parts += [text[done:start], re.sub(r"[^\n]", " ", text[start:end])]
        done = end
    return "".join([*parts, text[done:]])


def _last_commas(plain: str) -> Iterator[tuple[int, int]]:
    """Where a comma stands before a closing bracket."""
    from pygments.token import Punctuation, Whitespace

    marks = [
        (place, character if kind in Punctuation else "value")
        for at, kind, value in tokens("json", plain)
        if kind not in Whitespace
        for place, character in enumerate(value if kind in Punctuation else value[:1], at)
    ]
    for (_, before), (at, mark), (_, after) in zip(marks, marks[1:], marks[2:], strict=False):
        if mark == "," and after in ("}", "]") and before not in ("{", "[", ",", ":"):
            yield at, at + 1


def _object(bare: str, start: int) -> _Object:
    decoder, members = json.JSONDecoder(), list[_Member]()
    if bare[start] != "{":
        raise InvalidConfig("it has another value where a table of names and values belongs")
    at = _after_space(bare, start + 1)
    while bare[at] != "}":
        key, after = decoder.raw_decode(bare, at)
        value = _after_space(bare, _after_space(bare, after) + 1)
        _, end = decoder.raw_decode(bare, value)
        members.append(_Member(key, at, value, end))
        at = _after_space(bare, end)
        if bare[at] == ",":
            at = _after_space(bare, at + 1)
    return _Object(start, at, members)


def _without_member(text: str, plain: str, found: _Object, member: _Member) -> str:
    """The text without a member: with its comma, else with the one before it, and with its lines if nothing else
    stands on them."""
    start, end = member.start, member.end
    after = _after_space(plain, end)
    if plain[after] == ",":
        end = after + 1
    elif before := next((one for one, other in pairwise(found.members) if other is member), None):
        comma = plain.index(",", before.end)
        text, start, end = text[:comma] + text[comma + 1 :], start - 1, end - 1
    line, next_line = text.rfind("\n", 0, start), text.find("\n", end)
    if line >= 0 and not text[line:start].strip() and not text[end : next_line if next_line >= 0 else None].strip():
        return text[:line] + text[next_line if next_line >= 0 else len(text) :]
    return text[:start] + text[end:].lstrip(" ")


def _nested(path: Sequence[str], value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value


def _written(value: Any, unit: str, indentation: str) -> str:
    return json.dumps(value, indent=unit, ensure_ascii=False).replace("\n", f"\n{indentation}")


def _line_end(closing: str, indentation: str) -> str:
    return closing if "\n" in closing else f"\n{indentation}"


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _begins_line(text: str, at: int) -> bool:
    return not text[text.rfind("\n", 0, at) + 1 : at].strip()


def _indentation(text: str, at: int) -> str:
    """What the line begins with on which a place is."""
    line = text.rfind("\n", 0, at) + 1
    found = re.compile(r"[ \t]*").match(text, line)
    return found.group() if found else ""


def _unit(text: str, bare: str) -> str:
    """By how much the file indents."""
    members = _object(bare, _after_space(bare, 0)).members
    first = members[0].start if members else None
    return (_indentation(text, first) if first is not None and _begins_line(text, first) else "") or "  "
