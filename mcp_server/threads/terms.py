"""Search terms: parsing what a person typed, matching texts, snippets and scores."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from mcp_server.errors import InvalidArgument
from mcp_server.threads.catalog import checked_text

# A quoted phrase, else a word.
_PARTS = re.compile(r'"(?P<phrase>[^"]*)"|(?P<word>\S+)')
_SNIPPET_CHARS = 80
_MAX_CHARS = 10_000
MAX_TERMS = 64
"""How many words one search may have, including those of phrases: each is searched in every candidate text."""
_MAX_BLANKS = 1_000  # between two words of a phrase
_MAX_COUNTED = 50  # matches of a term that are looked at for a text's score
# The `re` module holds the GIL until a call returns: 3 ms for so many characters.
_WINDOW = 1 << 17

Check = Callable[[], None]
"""Called repeatedly during the search in a text; may raise to end it."""


@dataclass(frozen=True, slots=True)
class Term:
    """A word or a phrase. `max_match_chars`: the most characters that a match of it can have."""

    pattern: re.Pattern[str]
    max_match_chars: int

    def matches(self, text: str, check: Check) -> Iterator[re.Match[str]]:
        """Its matches, from left to right, searched window by window."""
        at = 0
        for start in range(0, max(1, len(text)), _WINDOW):
            check()
            end = start + _WINDOW
            for match in self.pattern.finditer(text, max(at, start), end + self.max_match_chars):
                if match.start() >= end:
                    break
                yield match
                at = match.end()


@dataclass(frozen=True, slots=True)
class Terms:
    """Terms that must all be in a text, in any case. `literals` are plain strings that every matching text contains:
    the index searches for these."""

    literals: tuple[str, ...]
    terms: tuple[Term, ...]
    any_of: re.Pattern[str]

    def find(self, text: str, check: Check = lambda: None) -> tuple[int, int] | None:
        """Where the first match is, if the text contains all terms; else None."""
        first: list[tuple[int, int]] = []
        for term in self.terms:
            match = next(term.matches(text, check), None)
            if match is None:
                return None
            first.append((match.start(), -match.end()))
        start, end = min(first)
        return start, -end

    def snippet(self, text: str, found: tuple[int, int] | None) -> str:
        """The text around a match, on one line, every match in it between ** and **."""
        if found is None:
            return ""
        start, end = max(0, found[0] - _SNIPPET_CHARS), min(len(text), found[1] + _SNIPPET_CHARS)
        marked = self.any_of.sub(lambda match: f"**{match[0]}**", text[start:end])
        return " ".join(f"{'…' if start else ''}{marked}{'…' if end < len(text) else ''}".split())

    def score(self, text: str, check: Check = lambda: None) -> float:
        """How well a text matches: whole words count more than parts of words, early and frequent matches more than
        late and single ones, and matches in a short text more than in a long one."""
        points = 0.0
        for term in self.terms:
            matches = list(islice(term.matches(text, check), _MAX_COUNTED))
            whole = any(_is_word(text, match) for match in matches)
            often = min(len(matches), 10) / 10
            early = 1 / (1 + matches[0].start() / 500) if matches else 0
            points += (2 if whole else 1) + often + early
        return points / (1 + len(text) / 20_000)


def parse_terms(text: str) -> Terms:
    """Parse words and "phrases"; each matches any part of a text. `word*` matches the beginning of a word, if it begins
    with a letter or digit.

    Raises:
        InvalidArgument: the text is blank or too long, has too many words, or is not valid Unicode.
    """
    if not text.strip():
        raise InvalidArgument("search_term", text, "thread_search requires a non-empty search_term", "pass some text")
    checked_text("search_term", text)
    if len(text) > _MAX_CHARS:
        raise InvalidArgument("search_term", text[:40], f"it has {len(text)} characters", f"use at most {_MAX_CHARS}")
    literals: list[str] = []
    patterns: dict[str, int] = {}
    for part in _PARTS.finditer(text):
        phrase, word = part["phrase"], part["word"]
        if phrase is not None and not phrase.strip():
            continue
        if phrase is not None:
            words = phrase.split()
            literals += words
            # Possessive: a word never begins with a blank, so backtracking is useless.
            pattern = rf"\s{{1,{_MAX_BLANKS}}}+".join(map(re.escape, words))
            patterns[pattern] = len(phrase) + _MAX_BLANKS * len(words)
        elif len(word) > 1 and word.endswith("*") and word.rstrip("*"):
            start = word.rstrip("*")
            literals.append(start)
            patterns[(r"\b" if re.match(r"\w", start) else "") + re.escape(start)] = len(start)
        else:
            literals.append(word)
            patterns[re.escape(word)] = len(word)
    if not patterns:  # nothing but quotation marks
        literals, patterns = [text.strip()], {re.escape(text.strip()): len(text)}
    if len(literals) > MAX_TERMS:
        raise InvalidArgument(
            "search_term", text[:40], f"it has {len(literals)} words", f"use at most {MAX_TERMS}, the rarest ones"
        )
    return Terms(
        tuple(dict.fromkeys(literals)),
        tuple(
            Term(re.compile(pattern, re.IGNORECASE), max_match_chars) for pattern, max_match_chars in patterns.items()
        ),
        re.compile("|".join(sorted(patterns, key=len, reverse=True)), re.IGNORECASE),
    )


def _is_word(text: str, match: re.Match[str]) -> bool:
    before, after = text[max(0, match.start() - 1) : match.start()], text[match.end() : match.end() + 1]
    return not (before.isalnum() or after.isalnum())
