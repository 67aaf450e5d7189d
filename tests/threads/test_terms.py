"""What is typed to search, and which texts answer it."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.errors import InvalidArgument
from mcp_server.models.results import Passage
from mcp_server.threads.search import terms as terms_module
from mcp_server.threads.search.terms import LEVELS, MAX_TERMS, PART, parse_terms

TEXT = "The parser in session.py:88 says: 编译器的错误, not a\nsyntax  error (see /docs/Errors, syntax_error)"

ANSWERED = {
    "words in any order": "error parser",
    "any case": "PARSER",
    "a part of a word": "arse",
    "code": "session.py:88",
    "what would be a pattern": "(see",
    "two characters of Chinese": "错误",
    "a phrase": '"parser in"',
    "a phrase across a line and several blanks": '"a syntax error"',
    "a phrase and a word": '"parser in" syntax',
    "the beginning of a word": "synt*",
    "the beginning of a path": "/docs/E*",
    "a word with a hyphen": "Syntax-Error",
    "a phrase that is not closed": "parser in",
    "an empty phrase beside a word": '"" parser',
}
NOT_ANSWERED = {
    "one word too many": "parser absent",
    "a phrase in another order": '"in parser"',
    "a star inside a word": "yntax*",
    "a quotation mark that is not there": '"parser',
    "a star alone": "*",
}


@pytest.mark.parametrize("typed", ANSWERED.values(), ids=ANSWERED)
def test_a_text_answers(typed: str) -> None:
    assert parse_terms(typed).find(TEXT)


@pytest.mark.parametrize("typed", NOT_ANSWERED.values(), ids=NOT_ANSWERED)
def test_a_text_does_not_answer(typed: str) -> None:
    assert not parse_terms(typed).find(TEXT)


def test_quotation_marks_alone_are_looked_for_as_they_are() -> None:
    assert parse_terms('""').find('x = ""')
    assert not parse_terms('""').find('x = "1"')


@pytest.mark.parametrize("typed", ["", " \t\n", "x" * 10_001, "lone \ud800"])
def test_what_can_not_be_searched_is_refused(typed: str) -> None:
    with pytest.raises(InvalidArgument, match="search_term"):
        parse_terms(typed)


@given(st.text(st.characters(), max_size=1_100))
def test_any_string_parses_or_is_refused(typed: str) -> None:
    with suppress(InvalidArgument):
        terms = parse_terms(typed)
        assert terms.literals
        assert all(terms.literals)


PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters='"*-'), max_size=200)


@given(PLAIN, PLAIN.filter(lambda typed: 0 < len(typed.split()) <= MAX_TERMS), PLAIN)
def test_a_text_that_holds_the_string_as_typed_answers(before: str, typed: str, after: str) -> None:
    text = before + typed + after
    terms = parse_terms(typed)
    found = terms.find(text)
    assert found
    assert all(re.search(re.escape(literal), text, re.IGNORECASE) for literal in terms.literals)
    snippet = terms.snippet(text, found).text
    assert re.search(r"\*\*[^*]+\*\*", snippet)
    assert len(snippet.splitlines()) == 1


def test_a_search_has_at_most_sixty_four_words_those_of_phrases_among_them() -> None:
    words = [f"w{n}" for n in range(MAX_TERMS)]
    assert parse_terms(" ".join(words)).find(" ".join(reversed(words)))
    for typed in (" ".join([*words, "more"]), f'"{" ".join(words)}" more'):
        with pytest.raises(InvalidArgument, match=r"65 words; use at most 64") as refused:
            parse_terms(typed)
        assert refused.value.name == "search_term"


@given(
    st.text("ab \n", max_size=60),
    st.lists(st.sampled_from(["a", "ab", '"a b"', '"b  a b"', "b*", "aba"]), min_size=1, max_size=3),
)
def test_a_text_that_is_looked_through_in_windows_answers_as_if_it_were_looked_through_at_once(
    text: str, typed: list[str]
) -> None:
    terms = parse_terms(" ".join(typed))
    at_once = terms.find(text), terms.found_in(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(terms_module, "_WINDOW", 7)
        assert (terms.find(text), terms.found_in(text)) == at_once


def test_a_look_at_one_long_text_can_be_ended_within_it() -> None:
    looks = 0

    def check() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        parse_terms("absent").find("x" * 10_000_000, check)


def snippet_of(typed: str, text: str) -> str:
    terms = parse_terms(typed)
    return terms.snippet(text, terms.find(text)).text


def test_a_snippet_shows_what_is_around_the_first_match_with_every_match_marked() -> None:
    text = "x " * 500 + "the Needle,\r\n\u2028and another needle " + "y " * 500
    snippet = snippet_of("needle", text)
    assert "x the **Needle**, and another **needle** y" in snippet
    assert snippet.startswith("…x")
    assert snippet.endswith("y…")
    assert len(snippet) < 250
    assert snippet_of("needle", "a needle") == "a **needle**"
    assert snippet_of("a b", "b a") == "**b** **a**"
    assert snippet_of("absent", text) == ""


@pytest.mark.parametrize(
    "text", ["**each** needle  **of** all", "*needle*", "a **needle**, **bold", "2**needle ** 2", "needle**"]
)
def test_the_signs_of_a_snippet_are_told_where_its_text_holds_the_like(text: str) -> None:
    terms = parse_terms("needle")
    snippet = terms.snippet(text, terms.find(text))
    parts = Passage(text=snippet.text, signs=list(snippet.signs)).parts
    assert parts[1::2] == ["needle"]
    assert "".join(parts) == " ".join(text.split())


def test_the_signs_of_a_snippet_without_such_are_not_told() -> None:
    terms = parse_terms("needle")
    assert terms.snippet("2 * 2 needle", (8, 14)).signs == ()


# ---------------------------------------------------------------------------------------------- what is asked of words

FORMS = {
    "a word": ("Refresh", [("refresh", "refresh*")]),
    "another form of a word": ("batching", [("batching", "batching*", "batch*")]),
    "a short word": ("CI", [("ci",)]),
    "accents": ("café", [("cafe", "cafe*")]),
    "the beginning of words": ("Pars*", [("pars*",)]),
    "the end of a question": ("slow?", [("slow", "slow*")]),
    "a word with an apostrophe": ("Paul's", [("paul", "paul*")]),
    "code": ("session.py:88", [()]),
    "a phrase": ('"two words"', [()]),
    "a language without blanks": ("错误", [()]),
}


@pytest.mark.parametrize(("typed", "forms"), FORMS.values(), ids=FORMS)
def test_words_are_asked_for_in_their_forms_and_literals_as_they_are(typed: str, forms: list[tuple[str, ...]]) -> None:
    assert [group[0].forms for group in parse_terms(typed).groups] == forms


def test_function_words_need_not_be_there_unless_nothing_else_is_asked_for() -> None:
    terms = parse_terms("why is the checkout slow")
    assert terms.words == ("checkout", "slow")
    assert [group[0].typed for group in terms.besides] == ["why", "is", "the"]
    assert parse_terms("the why").words == ("the", "why")


def test_one_of_the_words_that_or_joins_is_enough_and_hyphens_leave_out() -> None:
    terms = parse_terms('login OR auth race -tests -"two words"')
    assert terms.words == ("login OR auth", "race")
    assert [term.typed for term in terms.without] == ["tests", '"two words"']
    assert terms.find("the auth race")
    assert terms.find("a login race")
    assert not terms.find("a race")
    assert not terms.find("the auth race of tests")
    assert parse_terms("OR").words == ("OR",)
    assert parse_terms("race OR").words == ("race",)
    assert parse_terms("-rf").words == ("-rf",)
    assert parse_terms("rm --force").words == ("rm", "--force")


def test_a_match_counts_by_whether_it_is_the_word_its_beginning_or_another_form() -> None:
    def level(typed: str, text: str) -> float | None:
        (found,) = parse_terms(typed).found_in(text)
        return found.level if found else None

    assert level("refresh", "to Refresh it") == LEVELS[0]
    assert level("refresh", "refreshing") == LEVELS[1]
    assert level("refreshing", "it refreshes") == LEVELS[2]
    assert level("race", "the trace") is None
    assert level("cafe", "Café") == level("café", "CAFE") == LEVELS[0]
    (found,) = parse_terms("race").found_in("the trace", parts=[True])
    assert found is not None
    assert (found.level, found.start) == (PART, 5)


TYPED = st.lists(
    st.tuples(
        st.sampled_from(["", "-"]), st.sampled_from(["race", "auth", '"a b"', "par*", "OR", "x.py:1", "错", "the"])
    ),
    min_size=1,
    max_size=6,
).map(lambda parts: " ".join(sign + part for sign, part in parts))


@given(TYPED, st.text("race auth parser a b x.py:1 错 the ", max_size=60))
def test_what_is_found_holds_every_group_and_nothing_that_is_left_out(typed: str, text: str) -> None:
    terms = parse_terms(typed)
    found = terms.find(text)
    held = terms.found_in(text, parts=[True] * len(terms.groups))
    unwanted = [term for term in terms.without if next(term.matches(text, lambda: None, parts=False), None)]
    assert (found is not None) == (all(held) and not unwanted)
    whole = terms.found_in(text)
    assert all(part for part, word in zip(held, whole, strict=True) if word)
