"""The two faces of an answer: the structure that programs and some hosts read, and the text that others show a model.

Both are made of the same facts: nothing null, empty, default or repeated. Times are ISO. An id is whole once and stands
for itself by its beginning otherwise. Both keep within a budget: long texts are cut first, then lists in their middle,
then rows, and the answer says what was cut and which argument shows the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, Self, cast, runtime_checkable

import msgspec

from mcp_server.handlers.plain_text import text_of
from mcp_server.models.facts import facts
from mcp_server.models.quoting import fenced
from mcp_server.models.short_ids import names_ids, shorten_ids
from mcp_server.models.value import Json, Value

BUDGET_TOKENS = {"concise": 2_000, "detailed": 10_000}
CHARS_PER_TOKEN = 4
_LEAST_CHARS = 240
"""No text is cut to less than this while rows can be left out instead."""
_HARD_LEAST_CHARS = 40

Format = Literal["concise", "detailed"]
Faces = tuple[Json, str]

fenced_structure: ContextVar[bool] = ContextVar("fenced_structure", default=False)
"""Whether the client shows a model the structure alone: then stored text of several lines stands in fences there."""


@runtime_checkable
class Paged(Protocol):
    """A result with rows, of which an answer may show the first ones only."""

    @property
    def rows(self) -> Sequence[Any]: ...

    def first(self, count: int) -> Self: ...


def faces(result: Value, form: Format = "concise") -> Faces:
    """The structure and the text of a result."""
    fitting = _Fitting(BUDGET_TOKENS[form] * CHARS_PER_TOKEN, detailed=form == "detailed", fence=fenced_structure.get())
    return fitting.faces(result)


@dataclass(frozen=True)
class _Cut:
    """How much of an answer is shown: characters of each text, and parts of each list but that of the rows."""

    chars: int
    parts: int


@dataclass(frozen=True)
class _Answer:
    """Both faces, and how many characters the longer one has."""

    structure: Json
    text: str
    size: int


@dataclass(frozen=True)
class _Fitting:
    """Makes the largest answer that fits a number of characters."""

    budget: int
    detailed: bool
    fence: bool

    def faces(self, result: Value) -> Faces:
        tree = self._facts(result)
        answer = self._answer(tree)
        if answer.size > self.budget:
            answer = self._cut(result, tree, answer)
        return answer.structure, answer.text

    def _facts(self, result: Value) -> Json:
        """The facts, a thread first, with lists cut to what a budget could ever hold."""
        tree = facts(result, detailed=self.detailed)
        if "thread" in tree:
            tree = {"thread": tree.pop("thread"), **tree}
        return (
            tree if _size(tree) <= self.budget else _cut_tree(tree, _Cut(_ANY_CHARS, self.budget // _LEAST_PART_CHARS))
        )

    def _answer(self, tree: Json, cut: _Cut | None = None) -> _Answer:
        shown = shorten_ids(tree if cut is None else _cut_tree(tree, cut))
        if told := _how_to_see_the_rest(shown):
            shown = {**shown, _REST: told}
        structure, text = _fenced_texts(shown) if self.fence else shown, text_of(shown)
        return _Answer(structure, text, max(_size(structure), len(text)))

    def _cut(self, result: Value, tree: Json, whole: _Answer) -> _Answer:
        """As many rows as fit while nothing else is shown more than it must, then the most of their texts and lists."""
        cut = _Cut(_LEAST_CHARS, _LEAST_PARTS)
        answer = whole if _cut_tree(tree, cut) == tree else self._answer(tree, cut)
        tree, answer = self._with_fewer_rows(result, tree, cut, answer)
        while answer.size > self.budget and cut.chars > _HARD_LEAST_CHARS:
            cut = replace(cut, chars=max(_HARD_LEAST_CHARS, cut.chars // 2))
            answer = self._answer(tree, cut)
        parts, chars = _longest(tree)
        cut, answer = self._most(tree, cut, answer, "parts", parts, 1)
        return self._most(tree, cut, answer, "chars", min(chars, self.budget), 16)[1]

    def _with_fewer_rows(self, result: Value, tree: Json, cut: _Cut, answer: _Answer) -> tuple[Json, _Answer]:
        count = len(result.rows) if isinstance(result, Paged) else 0
        while count > 1 and answer.size > self.budget:
            count = max(1, min(count - 1, count * self.budget // answer.size + 1))
            tree = self._facts(cast("Value", cast("Paged", result).first(count)))
            answer = self._answer(tree, cut)
        return tree, answer

    def _most(
        self, tree: Json, cut: _Cut, answer: _Answer, what: Literal["chars", "parts"], most: int, step: int
    ) -> tuple[_Cut, _Answer]:
        """The cut that shows about the most, up to `most`, and fits; or the one that there is, with its answer."""
        least, tried_at, enough = getattr(cut, what), most, self.budget * 19 // 20
        while most > least:
            wider = replace(cut, **{what: tried_at})
            tried = self._answer(tree, wider)
            if tried.size <= self.budget:
                cut, answer, least = wider, tried, tried_at
            else:
                most = tried_at - 1
            if most - least < step or answer.size >= enough:
                break
            # Texts and lists of like length grow evenly; where they don't, the half leads there.
            even = least + (tried_at - least) * (self.budget - answer.size) // max(1, tried.size - answer.size)
            half = (least + most + 1) // 2
            tried_at = even if least < even < half else half
        return cut, answer


# Parts of lists take at least so much, so lists of more parts never fit.
_LEAST_PART_CHARS = 4
_ANY_CHARS = 1 << 40
_LEAST_PARTS = 2
_ROW_LISTS = frozenset({"data", "turns", "nodes", "passages", "signs"})
_TRUNCATED, _LEFT_OUT, _REST = "truncated", "left_out", "rest"
_NEVER_CUT = frozenset({"type", "id", "status", _REST})


def _size(structure: Json) -> int:
    return len(msgspec.json.encode(structure).decode())


def _longest(value: Any, name: str = "") -> tuple[int, int]:
    """The most parts of a list that may be cut, and the most characters of a text."""
    match value:
        case str():
            return 0, len(value)
        case dict():
            below = [_longest(part, name) for name, part in cast("Json", value).items()]
        case list():
            parts = cast("list[Any]", value)
            below = [(0 if name in _ROW_LISTS else len(parts), 0), *(_longest(part) for part in parts)]
        case _:
            return 0, 0
    return max((parts for parts, _ in below), default=0), max((chars for _, chars in below), default=0)


def _cut_tree(tree: Json, cut: _Cut) -> Json:
    return _Cutter(cut).object(tree, None, "")


@dataclass(frozen=True)
class _Cutter:
    """Cuts texts and lists. What has an id tells the full length of its texts, and each object that of its lists."""

    cut: _Cut

    def object(self, value: Json, owner: Json | None, path: str) -> Json:
        shown: Json = {}
        if "id" in value or owner is None:
            owner, path = shown, ""
        for name, part in value.items():
            at = f"{path}.{name}" if path else name
            if name == _TRUNCATED and isinstance(part, dict):
                shown[name] = {**shown.get(_TRUNCATED, {}), **cast("Json", part)}
            elif isinstance(part, list) and name not in _ROW_LISTS and len(cast("list[Any]", part)) > self.cut.parts:
                parts = cast("list[Any]", part)
                shown[name] = self.parts(_ends(parts, self.cut.parts), owner, at, name)
                left = shown.setdefault(_LEFT_OUT, dict(value.get(_LEFT_OUT, {})))
                left[name] = left.get(name, 0) + len(parts) - self.cut.parts
            elif name != _LEFT_OUT:
                shown[name] = self.part(part, owner, at, name)
            elif name not in shown:
                shown[name] = part
        return shown

    def part(self, value: Any, owner: Json, path: str, name: str) -> Any:
        match value:
            case dict():
                return self.object(cast("Json", value), owner, path)
            case list():
                return self.parts(cast("list[Any]", value), owner, path, name)
            case str() if len(value) > self.cut.chars and not _is_whole(name):
                owner.setdefault(_TRUNCATED, {}).setdefault(path, len(value))
                return value[: self.cut.chars]
            case _:
                return value

    def parts(self, value: list[Any], owner: Json, path: str, name: str) -> list[Any]:
        return [self.part(part, owner, f"{path}.{n}", name) for n, part in enumerate(value)]


def _is_whole(name: str) -> bool:
    return name in _NEVER_CUT or names_ids(name) or name.endswith("cursor")


def _ends(parts: list[Any], count: int) -> list[Any]:
    """The first and the last parts of a list."""
    last = count // 2
    return parts[: count - last] + parts[len(parts) - last :]


def _how_to_see_the_rest(tree: Json) -> str:
    """What the answer says once of all that was cut in it."""
    cut = set(_cuts_in(tree))
    return "; ".join(told for what, told in _REST_OF.items() if what in cut)


_REST_OF = {
    "item": "thread_items with item_id and text_offset shows more of a truncated text; a negative one, its end",
    "text": "response_format=detailed shows more of truncated texts",
    "items": "thread_items with turn_id shows the items left out",
    "list": "of lists with parts left out the first and the last are shown",
}


def _cuts_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        tree = cast("Json", value)
        if isinstance(tree.get(_TRUNCATED), dict):
            yield "item" if "type" in tree else "text"
        for name in tree.get(_LEFT_OUT, ()):
            yield "items" if name == "items" else "list"
        for part in tree.values():
            yield from _cuts_in(part)
    elif isinstance(value, list):
        for part in cast("list[Any]", value):
            yield from _cuts_in(part)


def _fenced_texts(value: Any) -> Any:
    """Stored texts of several lines in a fence each. A text of one line stands in the quotes of JSON already."""
    if isinstance(value, dict):
        return {name: _fenced_texts(part) for name, part in cast("Json", value).items()}
    if isinstance(value, list):
        return [_fenced_texts(part) for part in cast("list[Any]", value)]
    if isinstance(value, str) and "\n" in value:
        return fenced(value)
    return value
