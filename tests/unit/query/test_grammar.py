"""Any text is a query or gets a sentence; nothing of it reaches FTS5 but words within quotation marks."""

from __future__ import annotations

import re

import apsw
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imagescribe.query.errors import QueryError
from imagescribe.query.grammar import MAX_QUERY_CHARACTERS, MAX_TERMS, Query, Term, parse
from imagescribe.query.index_file import create_index


def expression(text: str) -> str:
    return parse(text).expression(lambda term: [term.text])[0]


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("red boat", Query(((Term("red"),), (Term("boat"),)))),
        ('"red boat" dusk', Query(((Term("red boat"),), (Term("dusk"),)))),
        ("“red boat”", Query(((Term("red boat"),),))),
        ("boat*", Query(((Term("boat", is_prefix=True),),))),
        ("semi-real*", Query(((Term("semi real", is_prefix=True),),))),
        ("boat -sunset", Query(((Term("boat"),),), (Term("sunset"),))),
        ('boat -"red sky"', Query(((Term("boat"),),), (Term("red sky"),))),
        ("red boat OR ship", Query(((Term("red"),), (Term("boat"), Term("ship"))))),
        ("a OR b OR c", Query(((Term("a"), Term("b"), Term("c")),))),
        ('"OR" and or', Query(((Term("OR"),), (Term("and"),), (Term("or"),)))),
        ("boat - , sunset", Query(((Term("boat"),), (Term("sunset"),)))),
        ("prompt:boat NEAR(a)", Query(((Term("prompt boat"),), (Term("NEAR a"),)))),
    ],
)
def test_what_a_query_says(text: str, query: Query) -> None:
    assert parse(text) == query


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no word"),
        ("   ", "no word"),
        ("!? … —", "no word"),
        ("-boat", "only what to leave out"),
        ('"red boat', "not closed"),
        ('"red boat"*', "not with a phrase"),
        ("OR boat", "between two"),
        ("boat OR", "between two"),
        ("boat OR OR ship", "between two"),
        ("boat OR -ship", "between two"),
        ("b*", "too short"),
        ("x" * (MAX_QUERY_CHARACTERS + 1), "characters"),
        ("a " * (MAX_TERMS + 1), f"more than {MAX_TERMS}"),
    ],
)
def test_what_can_not_be_understood_gets_a_sentence_and_what_to_do(text: str, sentence: str) -> None:
    with pytest.raises(QueryError, match=sentence) as caught:
        parse(text)
    assert caught.value.problem.endswith((".", "so."))
    assert len(caught.value.advice) > 5


def test_a_query_becomes_an_expression_in_which_every_word_is_quoted() -> None:
    assert expression("red boat -sunset -dawn") == '(("red") AND ("boat")) NOT ("sunset" OR "dawn")'


CONNECTION = apsw.Connection(":memory:")
create_index(CONNECTION)
CONNECTION.execute("INSERT INTO prompts (rowid, prompt) VALUES (1, 'a red boat')")

PIECES = st.sampled_from(
    ['"', "*", "-", " ", "OR", "AND", "NOT", "NEAR", "(", ")", ":", "^", "+", "{", "}", "'", "\0", "\\"]
)


@given(st.lists(st.one_of(PIECES, st.text(max_size=5)), max_size=30).map("".join))
@example("́")
@example('"')
@example("\ud800boat")
@example("a\0b")
def test_any_text_is_looked_for_or_gets_a_sentence(text: str) -> None:
    try:
        asked = expression(text)
    except QueryError:
        return
    assert re.fullmatch(r'(?:[( ]|\)|AND|OR|NOT|"[^"]*")+', asked)
    list(CONNECTION.execute("SELECT rowid FROM prompts WHERE prompts MATCH ?", (asked,)))


@given(st.lists(st.sampled_from(["boat", "ship", "red", "dusk"]), min_size=1, max_size=8).map(" ".join))
def test_words_are_all_looked_for(text: str) -> None:
    assert [group[0].text for group in parse(text).groups] == text.split()
