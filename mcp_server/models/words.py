"""Words of texts, as the word index knows them: in one case and without accents."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from unicodedata import ucd_3_2_0

from mcp_server.models.case import folded

_WORD = re.compile(r"[^\W_]+")
# Scripts that write no spaces between words: a run of their letters is no word.
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff]"
)
MAX_WORD_CHARS = 64
"""Longer runs of letters are no words that anyone asks for: encoded data, mostly."""


def plain_text(text: str) -> str:
    """The text in one case and without accents."""
    text = folded(text)
    if text.isascii():
        return text
    apart = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", "".join(char for char in apart if not unicodedata.combining(char)))


def words_of(text: str) -> list[str]:
    """The words of a text in order, each in its plain form."""
    return [word for word in _WORD.findall(plain_text(text)) if len(word) <= MAX_WORD_CHARS]


def is_word(text: str) -> bool:
    """Whether a text is one word that the index of words can be asked for."""
    plain = plain_text(text)
    if not _WORD.fullmatch(plain) or len(plain) > MAX_WORD_CHARS:
        return False
    # SQLite knows the letters of Unicode 6.
    return plain.isascii() or (not _UNSPACED.search(plain) and all(ucd_3_2_0.category(c)[0] in "LN" for c in plain))


def accented(plain: str) -> str:
    """A pattern for a plain text that accents may be put on."""
    return "".join(_with_accents().get(char, re.escape(char)) + r"[\u0300-\u036f]*" for char in plain)


@cache
def _with_accents() -> dict[str, str]:
    """A class of characters for each letter that has accents in some spelling."""
    found: dict[str, list[str]] = {}
    for char in map(chr, range(0xC0, 0x2000)):
        plain = plain_text(char)
        if plain != char and len(plain) == 1:
            found.setdefault(plain, [plain]).append(char)
    return {plain: f"[{''.join(map(re.escape, chars))}]" for plain, chars in found.items()}


# Endings that make other forms of an English word, the longest first.
_ENDINGS = (
    "izations", "ization", "ations", "ation", "ments", "ment", "ness", "ingly", "ings", "ing",
    "ions", "ion", "ives", "ive", "able", "ible", "ors", "or", "ers", "er", "ies", "ied", "edly", "ed", "ally", "ly",
    "als", "al", "es", "s", "e", "y",
)  # fmt: skip
_MIN_STEM = 4


def stem_of(word: str) -> str | None:
    """What other forms of an English word begin with; None if the word has no ending that is known."""
    if not (word.isascii() and word.isalpha()):
        return None
    for ending in _ENDINGS:
        stem = word.removesuffix(ending)
        if stem == word or len(stem) < _MIN_STEM - 1:
            continue
        if len(stem) >= _MIN_STEM and stem[-1] == stem[-2] and stem[-1] not in "aeiouls":
            stem = stem[:-1]  # running, batched: the letter was doubled
        shorter = stem.rstrip("aeiouy")
        if len(shorter) >= _MIN_STEM:
            stem = shorter
        if len(stem) >= _MIN_STEM or (len(stem) == _MIN_STEM - 1 and ending in ("ing", "ings", "ed", "er", "ers", "s")):
            return stem
    return None


_FUNCTION_WORDS = (
    "a about after all also am an and any are as at be been before but by can could did do does doing done for from "
    "get gets give given go goes got had has have he her here him his how i if in into is it its just let like make "
    "me my no not of off on once or our out over please she should so some such than that the their them then "
    "there these they this those through to too under until up us use used using very was we were what when where "
    "which while who whom why will with would you your"
)
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""English words that questions are made of: texts need not hold them where others are asked for."""
