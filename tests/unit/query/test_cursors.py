"""A cursor is a position; one that was tampered with is another position or is refused, and never more."""

from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imagescribe.query.cursors import MAX_LENGTH, decode, encode
from imagescribe.query.errors import QueryError
from imagescribe.query.records import image_id, image_of_id


@given(st.integers(), st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_a_cursor_comes_back_as_its_position(at: int, image: str) -> None:
    assert decode(encode((at, image)), int, str) == (at, image)


@given(st.text(max_size=100))
@example("é")
@example("====")
@example(urlsafe_b64encode(b'["\\ud800"]').decode().rstrip("="))
@example(urlsafe_b64encode(b"[" * 3_000).decode())
@example(urlsafe_b64encode(b"[1" + b"0" * 2_000 + b"]").decode())
@example("A" * (MAX_LENGTH + 1))
def test_what_is_no_cursor_is_refused_with_a_sentence(cursor: str) -> None:
    problem = ""
    try:
        position = decode(cursor, str)
    except QueryError as error:
        problem = error.problem
    assert "cursor" in problem or [type(part) for part in position] == [str]


@pytest.mark.parametrize("position", [("a",), (1, 2), (1, "a", "b"), (True, "a"), ()])
def test_a_position_of_another_question_is_refused(position: tuple[str | int, ...]) -> None:
    with pytest.raises(QueryError):
        decode(encode(position), int, str)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_an_image_has_one_id_which_an_address_can_hold(key: str) -> None:
    text = image_id(f"s3://bucket/{key}")
    assert image_of_id(text) == f"s3://bucket/{key}"
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.text(max_size=60))
@example("aHR0cDovL2E")
@example("x" * 3_000)
def test_what_is_no_id_is_refused_with_a_sentence(text: str) -> None:
    image, problem = "", ""
    try:
        image = image_of_id(text)
    except QueryError as error:
        problem = error.problem
    assert image.startswith("s3://") or "id" in problem
