"""Letters that a search takes for the same."""

from __future__ import annotations

import re
import sys

from mcp_server.models.case import folded


def test_what_re_takes_for_the_same_is_folded_to_the_same_in_all_of_unicode() -> None:
    cased = "".join(c for c in map(chr, range(sys.maxunicode + 1)) if c.lower() != c or c.upper() != c)
    assert len(cased) > 2_500
    assert max(cased) < "\U00020000"  # where spellings are looked for
    differ = {
        (char, same)
        for char in cased
        for same in re.findall(re.escape(char), cased, re.IGNORECASE)
        if folded(char) != folded(same)
    }
    assert differ == set()
