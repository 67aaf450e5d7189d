"""What is typed to search, and which texts answer it."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.errors import InvalidArgument
from mcp_server.threads import terms as terms_module
from mcp_server.threads.terms import MAX_TERMS, parse_terms

TEXT = "The parser in session.py:88 says: 编译器的错误, not a\nsyntax  error (see /docs/Errors)"

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


PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters='"*'), max_size=200)


@given(PLAIN, PLAIN.filter(lambda typed: 0 < len(typed.split()) <= MAX_TERMS), PLAIN)
def test_a_text_that_holds_the_string_as_typed_answers(before: str, typed: str, after: str) -> None:
    text = before + typed + after
    terms = parse_terms(typed)
    found = terms.find(text)
    assert found
    assert all(re.search(re.escape(literal), text, re.IGNORECASE) for literal in terms.literals)
    snippet = terms.snippet(text, found)
    assert re.search(r"\*\*[^*]+\*\*", snippet)
    assert len(snippet.splitlines()) == 1
    assert terms.score(text) > 0


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
    at_once = terms.find(text), terms.score(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(terms_module, "_WINDOW", 7)
        assert (terms.find(text), terms.score(text)) == at_once


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
    return terms.snippet(text, terms.find(text))


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


def test_whole_words_early_often_and_in_short_texts_score_more() -> None:
    score = parse_terms("fox").score
    assert score("a fox") > score("a foxtrot")
    assert score("fox " * 3) > score("fox")
    assert score("fox" + " x" * 900) > score("x " * 900 + "fox")
    assert score("fox") > score("fox" + " " * 100_000)
