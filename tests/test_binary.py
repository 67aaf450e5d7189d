"""Which texts are base64, and which only look a little like it."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.codex.binary import without_base64

BYTES = random.Random(1).randbytes(3_000)
ENCODED = base64.b64encode(BYTES).decode()
WRAPPED = base64.encodebytes(BYTES).decode()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"data:image/png;base64,{ENCODED}", "[image/png, 3 kB, left out]"),
        (f"![x](data:image/svg+xml;charset=utf-8;base64,{ENCODED})", "![x]([image/svg+xml, 3 kB, left out])"),
        (f"data:;base64,{ENCODED}", "[base64, 3 kB, left out]"),
        (f"before {ENCODED} after", "before [base64, 3 kB, left out] after"),
        (f"before\n{WRAPPED}after it", "before\n[base64, 3 kB, left out]\nafter it"),
        (f"-----BEGIN-----\n{WRAPPED}-----END-----", "-----BEGIN-----\n[base64, 3 kB, left out]\n-----END-----"),
        (base64.urlsafe_b64encode(BYTES).decode(), "[base64, 3 kB, left out]"),
        (json.dumps({"data": WRAPPED, "more": "said"}), '{"data": "[base64, 3 kB, left out]", "more": "said"}'),
    ],
)
def test_long_base64_is_replaced_by_a_word_with_its_size(text: str, told: str):
    shown = without_base64(text)
    assert shown.replace("\\n", "").replace("\n", "") == told.replace("\n", "")


@pytest.mark.parametrize(
    "text",
    [
        "short words and a key sk-AbCdEf0123456789",
        "data:image/png;base64,iVBORw0KGgo=",
        "x" * 5_000,
        "0123456789abcdef" * 500,
        "ACGTTGCA" * 500,
        "\n".join(f"/Users/Somebody/Documents/Projects2026/Some/Long/Folder{n:03}/With/{'Deep' * n}" for n in range(9)),
        "alpha beta gamma " * 500,
        "\n".join(["some_function_name_with_many_words_in_it_that_is_as_long_as_a_line"] * 100),
    ],
)
def test_a_text_that_is_not_base64_stays_the_same_object(text: str):
    assert without_base64(text) is text


def test_what_is_no_mime_type_is_not_shown_as_one():
    shown = without_base64({"blob": ENCODED, "mimeType": ENCODED})
    assert shown == {"blob": "[base64, 3 kB, left out]", "mimeType": "[base64, 3 kB, left out]"}


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(ENCODED),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["type", "data", "blob", "mimeType", "text"]) | st.text(max_size=3), inner)
    ),
    max_leaves=12,
)


@given(_json)
def test_any_value_keeps_its_shape_and_loses_all_long_base64(value: Any):
    told = without_base64(value)
    assert ENCODED not in json.dumps(told)
    assert type(told) is type(value)
    if ENCODED not in json.dumps(value):
        assert json.dumps(told) == json.dumps(value)
