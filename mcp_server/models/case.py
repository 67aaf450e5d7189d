"""Text without regard to case. Who looks for a text with `re.IGNORECASE` finds it in an index of folded texts."""

from __future__ import annotations

import re
from functools import cache

_DOTTED_I, _DOTLESS_I = "\u0130", "\u0131"


def folded(text: str) -> str:
    """Texts that `re.IGNORECASE` takes for equal become the same, and a part of a text a part of it. Beyond what
    Unicode folds, `re` lets i, dotted and dotless, stand for one another."""
    return text.replace(_DOTTED_I, "i").replace(_DOTLESS_I, "i").casefold()


@cache
def spellings(char: str) -> tuple[str, ...]:
    """The characters that `re.IGNORECASE` takes for this one, with itself; of plain letters the small one is enough."""
    found = set(re.findall(re.escape(char), _cased(), re.IGNORECASE)) | {char}
    return tuple(sorted({one.lower() if one.isascii() else one for one in found}))


@cache
def _cased() -> str:
    """All characters that have cases. Beyond the second plane there are none, and looking at all takes 0.3 s."""
    return "".join(c for c in map(chr, range(0x20000)) if not c.lower() == c.upper() == c.casefold() == c)
