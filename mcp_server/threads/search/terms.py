"""Search terms: parsing what a person typed, matching texts, and snippets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice

from mcp_server.errors import InvalidArgument
from mcp_server.models.words import FUNCTION_WORDS, accented, is_word, plain_text, stem_of
from mcp_server.storage.query import WordForms
from mcp_server.threads.catalog import checked_text

# A quoted phrase, else a word. A hyphen before either leaves out what holds it.
_PARTS = re.compile(r'(?P<without>-?)"(?P<phrase>[^"]*)"|(?P<word>\S+)')
_WITHOUT = re.compile(r"-(?=[^\W_])")
_ENDINGS = "?!.,;:"
_CONTRACTED = re.compile(r"(?P<word>[^\W_]+?)(?P<of>n['\u2019]t|['\u2019](?:s|d|m|re|ve|ll))", re.IGNORECASE)
_SNIPPET_CHARS = 80
_MAX_CHARS = 10_000
MAX_TERMS = 64
"""How many words one search may have, including those of phrases: each is searched in every candidate text."""
_MAX_BLANKS = 1_000  # between two words of a phrase
_MAX_COUNTED = 50  # matches of a term that are counted in a text
_MIN_BEGINNING = 3  # shorter words stand for themselves alone: they begin too many others
# The `re` module holds the GIL until a call returns: 3 ms for so many characters.
_WINDOW = 1 << 17
_LETTER = r"[^\W_]"
_BLANKS = re.compile(r"\s+")
_SIGN = re.compile(r"\*\*")
_STEM_ENDING = 8

Check = Callable[[], None]
"""Called repeatedly during the search in a text; may raise to end it."""

LEVELS = (1.0, 0.75, 0.55)
"""What a match counts: of the word itself, of one that begins with it, of another form of it."""
PART = 0.5
"""What a match within a word counts."""


@dataclass(frozen=True, slots=True)
class Term:
    """A word, the beginning of words, or a literal: a phrase, code, a part of a word.

    `forms` are what the index of words is asked for; empty for a literal. `literals` are strings that stand in every
    text in which the term is a part. `max_match_chars`: the most characters that a match can have.
    """

    typed: str
    forms: WordForms
    literals: tuple[str, ...]
    part: re.Pattern[str]
    word: re.Pattern[str]
    accented: re.Pattern[str]
    max_match_chars: int

    def matches(self, text: str, check: Check, *, parts: bool = True) -> Iterator[re.Match[str]]:
        """Its matches, from left to right, searched window by window: as words, or wherever they are `parts` too."""
        pattern = self.part if parts or not self.forms else self.word if text.isascii() else self.accented
        at = 0
        for start in range(0, max(1, len(text)), _WINDOW):
            check()
            end = start + _WINDOW
            for match in pattern.finditer(text, max(at, start), end + self.max_match_chars):
                if match.start() >= end:
                    break
                yield match
                at = match.end()


@dataclass(frozen=True, slots=True)
class Found:
    """How a text holds a group of terms: how well at best, how often, and where first."""

    level: float
    often: int
    start: int
    end: int


Group = tuple[Term, ...]
"""Terms of which one must be found."""


@dataclass(frozen=True, slots=True)
class Snippet:
    """A text with its matches between ** and **. `signs` are the places of these signs; none where each ** of the text
    is one of them, and so tells where the matches are."""

    text: str
    signs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Terms:
    """What was typed. A thread answers best if it holds all `groups` and none of `without`; `besides` are the function
    words of a question, which need not be there.

    `literals` are plain strings that every text contains in which all groups are found as parts.
    """

    groups: tuple[Group, ...]
    without: tuple[Term, ...] = ()
    besides: tuple[Group, ...] = ()

    @property
    def literals(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one for group in self.groups if len(group) == 1 for one in group[0].literals))

    @property
    def words(self) -> tuple[str, ...]:
        """Each group as it was typed."""
        return tuple(" OR ".join(term.typed for term in group) for group in self.groups)

    def find(self, text: str, check: Check = lambda: None) -> tuple[int, int] | None:
        """Where the first match is, if the text contains all groups, as parts at least; else None."""
        first: list[tuple[int, int]] = []
        for group in self.groups:
            found = [match for term in group if (match := next(term.matches(text, check), None)) is not None]
            if not found:
                return None
            first.append(min((match.start(), -match.end()) for match in found))
        if any(next(term.matches(text, check, parts=False), None) for term in self.without):
            return None
        start, end = min(first)
        return start, -end

    def found_in(
        self, text: str, check: Check = lambda: None, parts: Sequence[bool] = (), groups: Sequence[Group] | None = None
    ) -> list[Found | None]:
        """For each group how the text holds it: as words, or as parts too for the groups that `parts` says so of."""
        groups = self.groups if groups is None else groups
        return [_found(text, group, check, bool(parts) and parts[n]) for n, group in enumerate(groups)]

    def snippet(self, text: str, found: tuple[int, int] | None, parts: Sequence[bool] = ()) -> Snippet:
        """The text around a match, on one line, every match in it between ** and **."""
        if found is None:
            return Snippet("")
        start, end = max(0, found[0] - _SNIPPET_CHARS), min(len(text), found[1] + _SNIPPET_CHARS)
        shown = text[start:end]
        marks: list[tuple[int, int]] = []
        for n, group in enumerate(self.groups if parts else (*self.groups, *self.besides)):
            for term in group:
                as_part = not parts or parts[n]
                marks += [m.span() for m in islice(term.matches(shown, never, parts=as_part), _MAX_COUNTED)]
        return _marked(f"{'…' if start else ''}{shown}{'…' if end < len(text) else ''}", marks, 1 if start else 0)


def never() -> None:
    """A check that lets everything go on."""


def _found(text: str, group: Group, check: Check, parts: bool) -> Found | None:
    best: Found | None = None
    for term in group:
        matches = list(islice(term.matches(text, check, parts=parts), _MAX_COUNTED))
        if not matches:
            continue
        levels = [_level(text, term, match, parts) for match in matches]
        level = max(levels)
        first = matches[levels.index(level)]
        found = Found(level, len(matches), first.start(), first.end())
        if best is None or (found.level, found.often) > (best.level, best.often):
            best = found
    return best


def _level(text: str, term: Term, match: re.Match[str], parts: bool) -> float:
    if not parts and term.forms:
        return LEVELS[(match.lastindex or 1) - 1]
    before, after = text[max(0, match.start() - 1) : match.start()], text[match.end() : match.end() + 1]
    whole = not (before.isalnum() and match[0][:1].isalnum()) and not (after.isalnum() and match[0][-1:].isalnum())
    return LEVELS[0] if whole else PART


def _marked(text: str, marks: list[tuple[int, int]], shift: int) -> Snippet:
    """The text on one line, with these parts of it marked, each moved by `shift`."""
    pieces: list[str] = []
    at = 0
    for start, end in sorted(((start + shift, end + shift) for start, end in marks), key=lambda one: (one[0], -one[1])):
        if start >= at and end > start:
            pieces += [text[at:start], text[start:end]]
            at = end
    pieces.append(text[at:])
    pieces = [_BLANKS.sub(" ", piece) for piece in pieces]
    pieces[0] = pieces[0].lstrip()
    pieces[-1] = pieces[-1].rstrip()
    signs = [len(piece) + 2 * n for n, piece in enumerate(accumulate(pieces[:-1]))]
    shown = "**".join(pieces)
    return Snippet(shown, () if signs == [sign.start() for sign in _SIGN.finditer(shown)] else tuple(signs))


# ---------------------------------------------------------------------------------------------- parsing


def parse_terms(text: str) -> Terms:
    """Parse words, "phrases", beginnings*, `this OR that`, and -words that must not be there.

    Raises:
        InvalidArgument: the text is blank or too long, has too many words, or is not valid Unicode.
    """
    if not text.strip():
        raise InvalidArgument("search_term", text, "thread_search requires a non-empty search_term", "pass some text")
    checked_text("search_term", text)
    if len(text) > _MAX_CHARS:
        raise InvalidArgument("search_term", text[:40], f"it has {len(text)} characters", f"use at most {_MAX_CHARS}")
    groups, without = _parsed(text, with_signs=True)
    if not groups:  # nothing but exclusions: they are taken for words
        groups, without = _parsed(text, with_signs=False)
    if not groups:  # nothing but quotation marks
        groups = [(_literal(text.strip()),)]
    count = sum(max(1, len(term.literals)) for term in (*(t for group in groups for t in group), *without))
    if count > MAX_TERMS:
        raise InvalidArgument(
            "search_term", text[:40], f"it has {count} words", f"use at most {MAX_TERMS}, the rarest ones"
        )
    groups = list({tuple(term.part.pattern for term in group): group for group in groups}.values())
    besides = tuple(group for group in groups if _is_function_word(group))
    telling = tuple(group for group in groups if not _is_function_word(group))
    return Terms(telling, tuple(without), besides) if telling else Terms(tuple(groups), tuple(without))


def _parsed(text: str, *, with_signs: bool) -> tuple[list[Group], list[Term]]:
    groups: list[Group] = []
    without: list[Term] = []
    joins = False
    for part in _PARTS.finditer(text):
        phrase, word = part["phrase"], part["word"]
        negative = with_signs and bool(part["without"] or (word and _WITHOUT.match(word)))
        if phrase is not None:
            if not phrase.strip():
                continue
            term = _phrase(phrase)
        elif with_signs and word == "OR" and groups and part.end() < len(text.rstrip()):
            joins = True
            continue
        else:
            term = _word(word[1:] if negative else word)
        if negative:
            without.append(term)
        elif joins:
            groups[-1] = (*groups[-1], term)
        else:
            groups.append((term,))
        joins = False
    return groups, without


def _is_function_word(group: Group) -> bool:
    (term, *others) = group
    if others:
        return False
    plain = plain_text(term.typed)
    contracted = _CONTRACTED.fullmatch(plain)
    return plain in FUNCTION_WORDS or (contracted is not None and contracted["of"].startswith("n"))


def _phrase(phrase: str) -> Term:
    words = phrase.split()
    # Possessive: a word never begins with a blank, so backtracking is useless.
    pattern = rf"\s{{1,{_MAX_BLANKS}}}+".join(map(re.escape, words))
    return _literal(f'"{phrase}"', pattern, tuple(words), len(phrase) + _MAX_BLANKS * len(words))


def _word(word: str) -> Term:
    if len(word) > 1 and word.endswith("*") and (start := word.rstrip("*")):
        if is_word(start):
            return _word_term(word, start, (f"{plain_text(start)}*",))
        boundary = r"\b" if re.match(r"\w", start) else ""
        return _literal(word, boundary + re.escape(start), (start,), len(start))
    bare = word.rstrip(_ENDINGS)
    contracted = _CONTRACTED.fullmatch(bare)
    if contracted is not None and not contracted["of"].startswith(("n", "N")):
        bare = contracted["word"]
    parts = bare.split("-")
    if len(parts) > 1 and all(map(is_word, parts)):  # written as one word or as several, too
        return _literal(bare, r"[\s_-]?".join(map(re.escape, parts)), tuple(parts), len(bare))
    if not is_word(bare):
        return _literal(word)
    plain = plain_text(bare)
    begins = (f"{plain}*",) if len(plain) >= _MIN_BEGINNING else ()
    stem = stem_of(plain)
    return _word_term(bare, bare, (plain, *begins, *((f"{stem}*",) if stem else ())), stem)


def _word_term(typed: str, word: str, forms: WordForms, stem: str | None = None) -> Term:
    plain = plain_text(word)
    begins_only = forms[0].endswith("*")
    part = (r"\b" if begins_only else "") + re.escape(word)
    patterns = [
        re.compile(_word_pattern(spelled, stem and spell(stem), len(plain), begins_only), re.IGNORECASE)
        for spell in (re.escape, accented)
        for spelled in [spell(plain) if plain == word.lower() else f"(?:{spell(plain)}|{re.escape(word)})"]
    ]
    longest = 4 * len(plain) + _STEM_ENDING + 1
    return Term(typed, forms, (word,), re.compile(part, re.IGNORECASE), patterns[0], patterns[1], longest)


def _word_pattern(word: str, stem: str | None, chars: int, begins_only: bool) -> str:
    """A group for each level, the best one first."""
    if begins_only:
        return rf"(?<!{_LETTER})({word})"
    begins = rf"|({word})" if chars >= _MIN_BEGINNING else r"|(?!)()"
    other = rf"|({stem}{_LETTER}{{0,{_STEM_ENDING}}})(?!{_LETTER})" if stem else ""
    return rf"(?<!{_LETTER})(?:({word})(?!{_LETTER}){begins}{other})"


def _literal(typed: str, pattern: str | None = None, literals: tuple[str, ...] = (), chars: int = 0) -> Term:
    compiled = re.compile(pattern or re.escape(typed), re.IGNORECASE)
    return Term(typed, (), literals or (typed,), compiled, compiled, compiled, chars or len(typed))
