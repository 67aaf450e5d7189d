"""Case folding that agrees with `re.IGNORECASE`, so that an index of folded texts finds whatever a search matches."""

from __future__ import annotations

import re
from functools import cache

_DOTTED_I, _DOTLESS_I = "\u0130", "\u0131"


def folded(text: str) -> str:
    """The text in one case. Texts that `re.IGNORECASE` takes for equal become the same, and a part of a text becomes a
    part of its folded form. Unlike Unicode, `re` also takes i, dotted i and dotless i for equal."""
    return text.replace(_DOTTED_I, "i").replace(_DOTLESS_I, "i").casefold()


@cache
def spellings(char: str) -> tuple[str, ...]:
    """The characters that `re.IGNORECASE` takes for this one, itself included. ASCII letters are in lower case."""
    found = set(re.findall(re.escape(char), _cased(), re.IGNORECASE)) | {char}
    return tuple(sorted({one.lower() if one.isascii() else one for one in found}))


@cache
def _cased() -> str:
    """All characters that have cases. There are none beyond the second plane, and searching there takes 0.3 s."""
    return "".join(c for c in map(chr, range(0x20000)) if not c.lower() == c.upper() == c.casefold() == c)
