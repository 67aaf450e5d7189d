"""Maps our values to the columns of tables, and builds the parts that several statements share."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from operator import attrgetter, itemgetter
from typing import Any, Generic, TypeVar, cast

import msgspec
from sqlalchemy import (
    JSON,
    BindParameter,
    Column,
    ColumnElement,
    CompoundSelect,
    Dialect,
    Integer,
    LargeBinary,
    Select,
    Table,
    TypeDecorator,
    bindparam,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.sqlite import Insert, insert
from sqlalchemy.sql.selectable import NamedFromClause
from sqlmodel import SQLModel

T = TypeVar("T")

AnySelect = Select[*tuple[Any, ...]]
AnyUnion = CompoundSelect[*tuple[Any, ...]]

# ---------------------------------------------------------------------------------------------- types of columns


def to_json(value: Any) -> str:
    """JSON as the columns hold it."""
    try:
        return msgspec.json.encode(value).decode()
    except (ValueError, OverflowError):  # lone surrogates and integers beyond 64 bits, which JSON has room for
        return json.dumps(value)


def from_json(text: str) -> Any:
    """The reverse of `to_json`."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return json.loads(text)  # which takes NaN and lone surrogates too


class JsonOf(TypeDecorator[Any]):
    """A value of a type that msgspec knows, as JSON; None is NULL."""

    impl = JSON
    cache_ok = True

    def __init__(self, of: Any) -> None:
        super().__init__(none_as_null=True)
        self.of = of

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else msgspec.convert(value, self.of)


class JsonBytesOf(TypeDecorator[Any]):
    """The same as bytes, for many small values that are read together: a third of the time."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, of: Any) -> None:
        super().__init__()
        self.of = of
        self._decoder = msgspec.json.Decoder(of)

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes:
        return msgspec.json.encode(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else self._decoder.decode(value)


# ---------------------------------------------------------------------------------------------- values and rows


def table(model: type[SQLModel]) -> Table:
    """The table of a model. Statements are on tables, and those that run often are compiled once: a query by key then
    takes 0.03 ms, instead of 0.12 ms if it is compiled each time, or 0.14 ms if it makes models."""
    return cast("Table", model.__table__)  # type: ignore[attr-defined]


class RowMapper(Generic[T]):
    """Makes rows of a table from values of a class, and values from rows.

    A field lies in the column of its name. `parts` describes fields that are structs themselves: their class, and the
    columns that hold its fields, in order; the field is None if the first of these is NULL. Fields after the first one
    without a column are not stored, and keep their defaults.
    """

    def __init__(self, of: Callable[..., T], model: type[SQLModel], **parts: tuple[Any, ...]) -> None:
        into = table(model)
        self._of = of
        self.columns: list[Column[Any]] = []
        """The columns to select, first and in this order, for `value`."""
        self._parts: list[tuple[int, int, int, Callable[..., Any]]] = []
        firsts: list[int] = []
        held: dict[str, Callable[[T], Any]] = {}
        for field in inspect.signature(of).parameters:
            cls, *names = parts.get(field, (None, field))
            if names[0] not in into.columns:
                break
            at = len(self.columns)
            firsts.append(at)
            self.columns += [into.columns[name] for name in names]
            if cls is not None:
                self._parts.append((len(firsts) - 1, at, len(self.columns), cls))
                subs = inspect.signature(cls).parameters
                held |= {name: _part_of(field, sub) for name, sub in zip(names, subs, strict=True)}
        self._pick: Callable[[Sequence[Any]], tuple[Any, ...]] = itemgetter(*firsts)
        self._held = [
            (column.name, held.get(column.name) or attrgetter(column.name))
            for column in into.columns
            if column is not into.autoincrement_column and (column.name in held or hasattr(of, column.name))
            if column.computed is None
        ]
        self.names = tuple(name for name, _ in self._held)
        """The columns that `values` has."""

    def values(self, value: T) -> dict[str, Any]:
        """The values of the columns, without those that the table computes and those that no field is for."""
        return {name: held(value) for name, held in self._held}

    def value(self, row: Sequence[Any]) -> T:
        """The value of a row that begins with `columns`."""
        fields = list(self._pick(row))
        for field, start, end, part in self._parts:
            fields[field] = None if row[start] is None else part(*row[start:end])
        return self._of(*fields)


def _part_of(field: str, sub: str) -> Callable[[Any], Any]:
    whole, part = attrgetter(field), attrgetter(sub)
    return lambda value: None if (held := whole(value)) is None else part(held)


# ---------------------------------------------------------------------------------------------- where dialects differ


def listed(name: str) -> AnySelect:
    """The values of a list, as rows of `id`: one parameter, however long the list is."""
    values: BindParameter[Any] = bindparam(name, type_=JSON)
    return select(func.json_each(values).table_valued("value").c.value.label("id"))


def among(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Whether a column has one of the values of the list that is the parameter of this name."""
    return column.in_(listed(name))


def contains(column: ColumnElement[Any], text: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a column contains a text, case-sensitively."""
    return func.instr(column, text) > 0


def order_of_insertion(rows: NamedFromClause) -> ColumnElement[int]:
    """A number that is greater for rows that were inserted later. It takes no space, and every index has it."""
    return literal_column(f"{rows.name}.rowid", Integer)


def insert_new(model: type[SQLModel]) -> Insert:
    """Insert rows, except those whose key exists."""
    return insert(table(model)).on_conflict_do_nothing()


def upsert(model: type[SQLModel]) -> Insert:
    """Insert rows, or overwrite the rows that have their keys."""
    into = table(model)
    keys = [column.name for column in into.primary_key]
    statement = insert(into)
    others = {column.name: statement.excluded[column.name] for column in into.columns if column.name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=others)
