"""The bytes of one open rollout as lines."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from mcp_server.codex.bounds import ReadingBounds
from mcp_server.storage.rollout_text import RolloutText


@given(data=st.lists(st.sampled_from([b"\n", b" ", b"a", b"bc", b"{}\r"]), max_size=30).map(b"".join))
def test_lines_give_back_every_byte_of_a_line_wherever_batches_end(data: bytes) -> None:
    text = RolloutText("a", io.BytesIO(data), len(data), ReadingBounds(batch_bytes=3))
    lines = [line for batch in text.batches() for line in batch]
    assert [line.data for line in lines] == [line for line in data.split(b"\n") if line.strip()]
    assert all(data[line.offset : line.end] == line.data + b"\n" * line.whole for line in lines)
