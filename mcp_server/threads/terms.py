"""What a person types to search, and how a text answers it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from mcp_server.errors import InvalidArgument
from mcp_server.threads.catalog import checked_text

# A quoted phrase, else what stands between blanks.
_PARTS = re.compile(r'"(?P<phrase>[^"]*)"|(?P<word>\S+)')
_SNIPPET_CHARS = 80
_MAX_CHARS = 10_000
MAX_TERMS = 64
"""Words that one search may have, those of phrases among them: each is looked for in every text that may answer."""
_MAX_BLANKS = 1_000  # between two words of a phrase
_COUNTED = 50  # matches of a term that are looked at for a text's score
# A look of the `re` module holds up all other threads until it is through: 3 ms for so many characters.
_WINDOW = 1 << 17

Check = Callable[[], None]
"""Called now and then while a text is looked through; what it raises ends the look."""


@dataclass(frozen=True, slots=True)
class Term:
    """A word or a phrase. `reach` is how many characters a match of it has at most."""

    pattern: re.Pattern[str]
    reach: int

    def matches(self, text: str, check: Check) -> Iterator[re.Match[str]]:
        """Where it stands, from left to right, window by window."""
        at = 0
        for start in range(0, max(1, len(text)), _WINDOW):
            check()
            end = start + _WINDOW
            for match in self.pattern.finditer(text, max(at, start), end + self.reach):
                if match.start() >= end:
                    break
                yield match
                at = match.end()


@dataclass(frozen=True, slots=True)
class Terms:
    """Several terms that must all be in a text, whatever their case. `literals` are plain parts of them: a text without
    one of these holds not all terms."""

    literals: tuple[str, ...]
    terms: tuple[Term, ...]
    any_of: re.Pattern[str]

    def find(self, text: str, check: Check = lambda: None) -> tuple[int, int] | None:
        """Where the first term stands in a text that holds all of them; None if it does not."""
        first: list[tuple[int, int]] = []
        for term in self.terms:
            match = next(term.matches(text, check), None)
            if match is None:
                return None
            first.append((match.start(), -match.end()))
        start, end = min(first)
        return start, -end

    def snippet(self, text: str, found: tuple[int, int] | None) -> str:
        """The text around what was found on one line, every match in it between ** and **."""
        if found is None:
            return ""
        start, end = max(0, found[0] - _SNIPPET_CHARS), min(len(text), found[1] + _SNIPPET_CHARS)
        marked = self.any_of.sub(lambda match: f"**{match[0]}**", text[start:end])
        return " ".join(f"{'…' if start else ''}{marked}{'…' if end < len(text) else ''}".split())

    def score(self, text: str, check: Check = lambda: None) -> float:
        """How well a text answers: terms that are whole words count more than parts, and early and often more than
        late and once, in a short text more than in a long one."""
        points = 0.0
        for term in self.terms:
            matches = list(islice(term.matches(text, check), _COUNTED))
            whole = any(_is_word(text, match) for match in matches)
            often = min(len(matches), 10) / 10
            early = 1 / (1 + matches[0].start() / 500) if matches else 0
            points += (2 if whole else 1) + often + early
        return points / (1 + len(text) / 20_000)


def parse_terms(text: str) -> Terms:
    """Words and "phrases", each a part of the text as it is written; `word*` begins a word, if it begins with a letter.

    Raises:
        InvalidArgument: blank, too long, too many terms, or no valid Unicode.
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
            # Possessive: what follows is no blank, so there is nothing to go back for.
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
            "search_term", text[:40], f"it has {len(literals)} words", f"use at most {MAX_TERMS}, the most telling ones"
        )
    return Terms(
        tuple(dict.fromkeys(literals)),
        tuple(Term(re.compile(pattern, re.IGNORECASE), reach) for pattern, reach in patterns.items()),
        re.compile("|".join(sorted(patterns, key=len, reverse=True)), re.IGNORECASE),
    )


def _is_word(text: str, match: re.Match[str]) -> bool:
    before, after = text[max(0, match.start() - 1) : match.start()], text[match.end() : match.end() + 1]
    return not (before.isalnum() or after.isalnum())
