"""What each format of a config file can do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, cast

Entry = Mapping[str, Any]


class InvalidConfig(Exception):
    """A file that is not what its format wants; the text says where and why."""


class Format(Protocol):
    """All texts have `\\n` for line ends. An empty text is an empty config."""

    def read(self, text: str) -> dict[str, Any]:
        """The values.

        Raises:
            InvalidConfig: it can't be read, or is no table of names and values.
        """
        ...

    def put(self, text: str, section: str, name: str, entry: Entry) -> str:
        """The text with the entry in its section. Of one that is there, only values that differ are replaced.

        Raises:
            InvalidConfig: the section is no table.
        """
        ...

    def cut(self, text: str, section: str, name: str) -> str:
        """The text without the entry."""
        ...

    def comments(self, text: str) -> list[str]:
        """The comments, in their order."""
        ...


def as_table(value: Any) -> dict[str, Any] | None:
    """The value if it is a table of names and values."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def entries(values: Mapping[str, Any], section: str) -> dict[str, Any]:
    """What a section holds; a section that is not there holds nothing.

    Raises:
        InvalidConfig: the section is no table.
    """
    found = as_table(values.get(section, {}))
    if found is None:
        raise InvalidConfig(f"its {section} is no table of names and values")
    return found


def changes(present: Mapping[str, Any], wanted: Entry) -> tuple[list[str], dict[str, Any]]:
    """What is to go from an entry, and what is to be set in it."""
    gone = [key for key in present if key not in wanted]
    return gone, {key: value for key, value in wanted.items() if key not in present or present[key] != value}


def tokens(language: str, text: str) -> Iterator[tuple[int, Any, str]]:
    """Where each token begins, its kind and its text, as Pygments finds them."""
    from pygments import lexers

    lexer: Any = lexers.get_lexer_by_name(language)  # pyright: ignore[reportUnknownMemberType]
    yield from lexer.get_tokens_unprocessed(text)


def comments_in(language: str, text: str) -> list[str]:
    from pygments.token import Comment

    return [value.strip() for _, kind, value in tokens(language, text) if kind in Comment]
