"""Edits of config files: the entry comes and goes, and all else stays as it was, to the byte."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.cli.install.configs.format import Format, InvalidConfig
from mcp_server.cli.install.configs.jsonc import Json
from mcp_server.cli.install.configs.toml import Toml
from mcp_server.cli.install.configs.yaml import Yaml
from tests.cli.users import yaml_of

STRICT, JSONC = Json(), Json(takes_comments=True, takes_last_commas=True)
TOML, YAML_FORMAT = Toml(), Yaml()
ENTRY = {"command": "/opt/threadstore", "args": ["serve", "--home", "/with space"]}

JSONC_TEXTS = {
    "the section is last": '{\n  "a": 1,\n  "servers": {\n    "x": { "command": "y" }\n  }\n}\n',
    "the section is first": '{\n  "servers": {\n    "x": { "command": "y" }\n  },\n  "a": 1\n}\n',
    "comments everywhere": (
        '// head\n{\n  /* before */ "a": 1, // after a\n  // above\n  "servers": {\n    // in it\n'
        '    "x": { "command": "y" } // behind x\n    // at its end\n  } // behind servers\n  // end\n}\n// tail\n'
    ),
    "commas at the end": '{\n  "servers": {\n    "x": { "command": "y", },\n  },\n  "list": [1, 2,],\n}\n',
    "a comment before the comma": '{\n  "servers": {\n    "x": {} /* { , } */ , // "servers"\n  }\n}\n',
    "tabs": '{\n\t"servers": {\n\t\t"x": {}\n\t}\n}\n',
    "four spaces": '{\n    "servers": {\n        "x": {}\n    }\n}',
    "an empty section": '{\n  "servers": {},\n  "a": 1\n}\n',
    "an empty section with a comment": '{\n  "servers": {\n    // none yet\n  }\n}\n',
    "one line": '{"servers": {"x": {"command": "y"}}, "a": 1}',
    "texts that look like comments": '{\n  "u": "http://x//y",\n  "servers": {"x": {"args": ["/* \\" */", "}"]}}\n}\n',
    "other alphabets": '{\n  "名前": "ü",\n  "servers": {\n    "é": {}\n  }\n}\n',
}
TOML_TEXTS = {
    "the section is last": 'model = "x" # why\n\n[mcp_servers.other]\ncommand = "o"\n# tail\n',
    "the section is first": '# top\n[mcp_servers.other]\ncommand = "o"\n\n[projects."/a b"]\ntrust_level = "trusted"\n',
    "the section has a header": "[mcp_servers]\n# none yet\n\n[other]\na = 1\n",
    "the section is in two pieces": "[mcp_servers.a]\ncommand='x'\n[z]\nq=1\n[mcp_servers.b]\ncommand='y'\n",
    "the section is inline": "mcp_servers = { a = { command = 'x' } } # inline\n[z]\nq = [1,\n  2, # two\n]\n",
    "dotted names": 'mcp_servers.a.command = "x"\n',
    "odd spelling": '  a=1\n\'b\' =  """x\ny"""\n[ mcp_servers . a ]\ncommand=\'x\'',
}
YAML_TEXTS = {
    "as goose writes it": (
        "extensions:\n  developer:\n    enabled: true\n    type: builtin\n    args:\n    - a\n"
        "  memory:\n    enabled: true\n"
        "GOOSE_MODEL: x\n"
    ),
    "comments everywhere": (
        '# top\nGOOSE_MODEL: "x"  # why\n\nextensions: # here\n  # the first\n  developer:\n    enabled: true  # on\n\n'
        "  # the second\n  memory:\n    args: [ a,  b ]\n# tail\nlast: 'y'\n"
    ),
    "deep indentation": "extensions:\n    developer:\n        args:\n            - a\n            - b\n",
    "no end of the last line": "extensions:\n  developer:\n    enabled: true",
}
CASES: list[tuple[Format, str, str]] = [
    *((JSONC, "servers", text) for text in JSONC_TEXTS.values()),
    *((TOML, "mcp_servers", text) for text in TOML_TEXTS.values()),
    *((YAML_FORMAT, "extensions", text) for text in YAML_TEXTS.values()),
]
NAMES = [
    f"{kind}: {name}"
    for kind, texts in (("JSON", JSONC_TEXTS), ("TOML", TOML_TEXTS), ("YAML", YAML_TEXTS))
    for name in texts
]
every_text = pytest.mark.parametrize(("form", "section", "text"), CASES, ids=NAMES)


def values_of(form: Format, text: str) -> Any:
    """As another parser than the one under test reads it, where there is one."""
    if isinstance(form, Toml):
        return tomllib.loads(text)
    return yaml_of(text) if isinstance(form, Yaml) else form.read(text)


def holds(text: str, part: str) -> bool:
    """Whether a text has all characters of another, in their order; spaces and line ends apart."""
    rest = iter(text)
    return all(character in rest for character in part if not character.isspace())


@every_text
def test_an_entry_is_added_and_all_that_was_there_still_is(form: Format, section: str, text: str) -> None:
    after = form.put(text, section, "threadstore", ENTRY)
    wanted = form.read(text)
    wanted[section] = {**wanted[section], "threadstore": ENTRY}
    assert values_of(form, after) == wanted
    assert form.comments(after) == form.comments(text)
    assert holds(after, text)


@every_text
def test_what_was_added_goes_without_a_trace(form: Format, section: str, text: str) -> None:
    after = form.cut(form.put(text, section, "threadstore", ENTRY), section, "threadstore")
    assert values_of(form, after) == values_of(form, text)
    assert form.comments(after) == form.comments(text)
    assert holds(text, after)


@every_text
def test_an_entry_that_is_as_it_should_be_is_not_touched(form: Format, section: str, text: str) -> None:
    once = form.put(text, section, "threadstore", ENTRY)
    assert form.put(once, section, "threadstore", ENTRY) == once


@every_text
def test_a_change_touches_the_values_that_differ(form: Format, section: str, text: str) -> None:
    mine = {"enabled": False, "command": "/old", "args": ["serve"], "env": {"A": "b"}}
    before = form.put(text, section, "threadstore", mine)
    after = form.put(before, section, "threadstore", mine | ENTRY)
    assert form.read(after)[section]["threadstore"] == mine | ENTRY
    assert form.comments(after) == form.comments(text)
    assert form.read(form.put(before, section, "threadstore", ENTRY))[section]["threadstore"] == ENTRY


@every_text
def test_a_text_without_the_entry_is_not_touched_by_taking_it_out(form: Format, section: str, text: str) -> None:
    assert form.cut(text, section, "threadstore") == text


@pytest.mark.parametrize("form", [STRICT, JSONC, TOML, YAML_FORMAT])
@pytest.mark.parametrize("text", ["", "\n", "  \n\n"])
def test_an_empty_file_gets_the_entry_alone(form: Format, text: str) -> None:
    after = form.put(text, "servers", "threadstore", ENTRY)
    assert values_of(form, after) == {"servers": {"threadstore": ENTRY}}
    assert after.endswith("\n")


@pytest.mark.parametrize(
    ("form", "text"), [(JSONC, "// my settings\n"), (TOML, "# my settings\n"), (YAML_FORMAT, "# my settings\n")]
)
def test_a_file_of_comments_alone_keeps_them(form: Format, text: str) -> None:
    after = form.put(text, "servers", "threadstore", ENTRY)
    assert after.startswith(text)
    assert values_of(form, after) == {"servers": {"threadstore": ENTRY}}


@pytest.mark.parametrize(
    ("form", "text"),
    [(JSONC, '{\n  "a": 1 // one\n}\n'), (TOML, "a = 1 # one\n\n[b]\nc = 2\n"), (YAML_FORMAT, "a: 1 # one")],
)
def test_a_section_that_is_missing_is_made(form: Format, text: str) -> None:
    after = form.put(text, "servers", "threadstore", ENTRY)
    assert values_of(form, after) == values_of(form, text) | {"servers": {"threadstore": ENTRY}}
    assert form.comments(after) == form.comments(text)


@pytest.mark.parametrize(
    ("form", "text", "below"),
    [
        (JSONC, '{\n  "s": {\n    "threadstore": {}, // mine\n    // below\n    "x": {}\n  }\n}\n', "// below"),
        (
            TOML,
            '[s.x]\na = 1\n\n[s.threadstore]\ncommand = "c"\n[s.threadstore.env]\nA = "b"\n# below\n[z]\nb = 1\n',
            "# below",
        ),
        (TOML, '[s.threadstore]\ncommand = "c"\n\n# below\n', "# below"),
        (YAML_FORMAT, "s:\n  threadstore:\n    cmd: c # mine\n  # below\n  x:\n    a: 1\n", "# below"),
        (YAML_FORMAT, "s:\n  threadstore:\n    cmd: c\n# below\nz: 1\n", "# below"),
    ],
)
def test_a_comment_below_the_entry_stays_when_it_goes(form: Format, text: str, below: str) -> None:
    after = form.cut(text, "s", "threadstore")
    assert below in form.comments(after)
    wanted = form.read(text)
    del wanted["s"]["threadstore"]
    assert values_of(form, after) in (wanted, {key: value for key, value in wanted.items() if value})


def test_a_comment_within_the_entry_stays_when_it_changes() -> None:
    text = (
        '{\n  "s": {\n    "threadstore": {\n      // mine\n      "command": "old", // why\n'
        '      "env": {"A": "b"},\n    },\n  },\n}\n'
    )
    after = JSONC.put(text, "s", "threadstore", {"env": {"A": "b"}} | ENTRY)
    assert JSONC.comments(after) == ["// mine", "// why"]
    assert JSONC.read(after)["s"]["threadstore"] == {"env": {"A": "b"}} | ENTRY


def test_the_written_text_is_indented_as_the_file_is() -> None:
    assert STRICT.put('{\n\t"a": 1\n}', "s", "t", {"command": "c"}) == (
        '{\n\t"a": 1,\n\t"s": {\n\t\t"t": {\n\t\t\t"command": "c"\n\t\t}\n\t}\n}'
    )
    assert YAML_FORMAT.put("s:\n    x:\n        a: 1\n", "s", "t", {"cmd": "c"}).startswith("s:\n    t:\n")


@pytest.mark.parametrize(
    ("form", "text", "reason"),
    [
        (STRICT, '{"a": 1', "line 1 column 8"),
        (STRICT, '{\n  // no\n  "a": 1\n}', "line 2 column 3"),
        (STRICT, '{"a": 1,}', "column"),
        (Json(takes_comments=True), '{\n  "a": 1, // yes\n}', "line 3 column 1"),
        (JSONC, "{,}", "line 1 column 2"),
        (JSONC, '{"a": 1,,}', "column 9"),
        (JSONC, '{"a": 1 /* no end', "no valid JSON"),
        (JSONC, "[]", "no object"),
        (JSONC, "[" * 100_000, "no valid JSON"),
        (JSONC, '{"s": []}', "its s is no table"),
        (JSONC, '{"s": null}', "its s is no table"),
        (TOML, "a = ", "no valid TOML"),
        (TOML, "s = 3", "its s is no table"),
        (YAML_FORMAT, "a: [", "no valid YAML"),
        (YAML_FORMAT, "- a", "no table"),
        (YAML_FORMAT, "a: 1\na: 2", "no valid YAML"),
        (YAML_FORMAT, "s: x", "its s is no table"),
    ],
)
def test_a_text_that_is_not_of_its_format_is_refused_with_the_reason(form: Format, text: str, reason: str) -> None:
    with pytest.raises(InvalidConfig, match=reason):
        form.put(text, "s", "threadstore", ENTRY)


leaf = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
json_values = st.recursive(
    leaf, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=5), part, max_size=3)
)


@st.composite
def spelt(draw: st.DrawFn) -> str:
    """An object with spaces, comments and last commas wherever they may be."""

    def gap() -> str:
        return draw(st.sampled_from(["", " ", "\n", "\t", ' /* , } " */ ', ' // { "x\n', "\n\n  "]))

    def written(value: Any) -> str:
        if isinstance(value, (dict, list)):
            opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
            items: list[Any] = list(value.items()) if isinstance(value, dict) else list(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            parts = [
                f"{gap()}{json.dumps(item[0])}{gap()}:{gap()}{written(item[1])}{gap()}"
                if isinstance(value, dict)
                else f"{gap()}{written(item)}{gap()}"
                for item in items
            ]
            comma = draw(st.sampled_from(["", ","])) if parts else ""
            return f"{opening}{','.join(parts)}{comma}{gap()}{closing}"
        return json.dumps(value, ensure_ascii=draw(st.booleans()))

    values = draw(st.dictionaries(st.text(max_size=5), json_values, max_size=4))
    values["s"] = draw(st.dictionaries(st.sampled_from(["a", "threadstore", "z", ""]), json_values, max_size=3))
    order = draw(st.permutations(list(values)))
    return f"{gap()}{written({key: values[key] for key in order})}{gap()}"


@given(text=spelt())
def test_any_spelling_of_json_is_read_and_edited(text: str) -> None:
    values, comments = JSONC.read(text), JSONC.comments(text)
    after = JSONC.put(text, "s", "new", ENTRY)
    assert JSONC.read(after) == values | {"s": values["s"] | {"new": ENTRY}}
    assert JSONC.comments(after) == comments
    back = JSONC.cut(after, "s", "new")
    assert JSONC.read(back) == values
    assert JSONC.comments(back) == comments
    gone = JSONC.cut(text, "s", "threadstore")
    assert JSONC.read(gone)["s"] == {key: value for key, value in values["s"].items() if key != "threadstore"}
    changed = JSONC.put(text, "s", "threadstore", ENTRY)
    assert JSONC.read(changed) == values | {"s": values["s"] | {"threadstore": ENTRY}}
