"""What a person types to search, and how a text answers it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mcp_server.errors import InvalidArgument
from mcp_server.threads.catalog import checked_text

# A quoted phrase, else what stands between blanks.
_PARTS = re.compile(r'"(?P<phrase>[^"]*)"|(?P<word>\S+)')
_SNIPPET_CHARS = 80
_MAX_CHARS = 10_000


@dataclass(frozen=True, slots=True)
class Terms:
    """Several terms that must all be in a text, whatever their case. `literals` are plain parts of them: a text without
    one of these holds not all terms."""

    literals: tuple[str, ...]
    patterns: tuple[re.Pattern[str], ...]
    any_of: re.Pattern[str]

    def match(self, text: str) -> bool:
        return all(pattern.search(text) for pattern in self.patterns)

    def snippet(self, text: str) -> str:
        """The text around the first match on one line, every match in it between ** and **."""
        first = self.any_of.search(text)
        if first is None:
            return ""
        start, end = max(0, first.start() - _SNIPPET_CHARS), min(len(text), first.end() + _SNIPPET_CHARS)
        marked = self.any_of.sub(lambda match: f"**{match[0]}**", text[start:end])
        return " ".join(f"{'…' if start else ''}{marked}{'…' if end < len(text) else ''}".split())

    def score(self, text: str) -> float:
        """How well a text answers: terms that are whole words count more than parts, and early and often more than
        late and once, in a short text more than in a long one."""
        points = 0.0
        for pattern in self.patterns:
            matches = list(pattern.finditer(text))
            whole = any(_is_word(text, match) for match in matches)
            often = min(len(matches), 10) / 10
            early = 1 / (1 + matches[0].start() / 500) if matches else 0
            points += (2 if whole else 1) + often + early
        return points / (1 + len(text) / 20_000)


def parse_terms(text: str) -> Terms:
    """Words and "phrases", each a part of the text as it is written; `word*` begins a word, if it begins with a letter.

    Raises:
        InvalidArgument: blank, too long, or no valid Unicode.
    """
    if not text.strip():
        raise InvalidArgument("search_term", text, "thread/search requires a non-empty searchTerm", "pass some text")
    checked_text("search_term", text)
    if len(text) > _MAX_CHARS:
        raise InvalidArgument("search_term", text[:40], f"it has {len(text)} characters", f"use at most {_MAX_CHARS}")
    literals: list[str] = []
    patterns: list[str] = []
    for part in _PARTS.finditer(text):
        phrase, word = part["phrase"], part["word"]
        if phrase is not None and not phrase.strip():
            continue
        if phrase is not None:
            literals += phrase.split()
            patterns.append(r"\s+".join(map(re.escape, phrase.split())))
        elif len(word) > 1 and word.endswith("*") and word.rstrip("*"):
            start = word.rstrip("*")
            literals.append(start)
            patterns.append((r"\b" if re.match(r"\w", start) else "") + re.escape(start))
        else:
            literals.append(word)
            patterns.append(re.escape(word))
    if not patterns:  # nothing but quotation marks
        literals, patterns = [text.strip()], [re.escape(text.strip())]
    return Terms(
        tuple(dict.fromkeys(literals)),
        tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns),
        re.compile("|".join(sorted(patterns, key=len, reverse=True)), re.IGNORECASE),
    )


def _is_word(text: str, match: re.Match[str]) -> bool:
    before, after = text[max(0, match.start() - 1) : match.start()], text[match.end() : match.end() + 1]
    return not (before.isalnum() or after.isalnum())
