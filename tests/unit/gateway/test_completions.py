"""What models and their servers say, read by its meaning."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagescribe_ops.gateway.completions import MAX_PROMPT_LENGTH, NoPromptError, read_prompt, read_refusal
from tests.model_server import completion

CAT = "A grey cat, asleep"


def read(text: str) -> str:
    return read_prompt("application/json", completion(text).model_dump_json().encode())


@pytest.mark.parametrize(
    "text",
    [
        CAT,
        f"  \n{CAT}\n",
        f'"{CAT}"',
        f"“{CAT}”",
        f"Prompt: {CAT}",
        f"**Prompt:** {CAT}",
        f"```\n{CAT}\n```",
        f"```text\n{CAT}\n```",
        f"<think>It is a cat.\nGrey.</think>\n\n{CAT}",
        f"It is a cat.</think>{CAT}",  # Some servers keep the beginning to themselves.
        f"{CAT}\x00\x1b\u202e",
    ],
)
def test_what_models_put_around_a_prompt_is_taken_off(text: str) -> None:
    assert read(text) == CAT


@pytest.mark.parametrize("text", ['A sign that reads "Prompt: go"', '"Stop" and "Go"', "A cat's", "Promptly: a cat"])
def test_what_belongs_to_a_prompt_stays(text: str) -> None:
    assert read(text) == text


def test_a_text_in_parts_is_put_together() -> None:
    parts = [{"type": "text", "text": "A grey "}, {"type": "text", "text": "cat"}]
    body = json.dumps({"choices": [{"message": {"content": parts}}]}).encode()
    assert read_prompt("application/json", body) == "A grey cat"


@given(st.text())
def test_any_text_gives_a_prompt_in_bounds_or_a_failure_of_the_model(text: str) -> None:
    with suppress(NoPromptError):
        assert 0 < len(read(text)) <= MAX_PROMPT_LENGTH


@given(st.binary(), st.sampled_from(["application/json", "text/event-stream", ""]))
def test_garbage_is_a_failure_of_the_model(body: bytes, content_type: str) -> None:
    with pytest.raises(NoPromptError) as error:
        read_prompt(content_type, body)
    assert error.value.answer.status == 502


@given(st.integers(201, 999), st.binary())
def test_every_refusal_is_a_status_of_the_contract_with_words_in_bounds(status: int, body: bytes) -> None:
    answer = read_refusal(status, {}, body, 5)
    assert answer.status in (403, 404, 406, 422, 429, 502, 503, 504)
    assert len(json.loads(answer.body)["error"]) < 1000


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"message": "no such model", "code": null}}',
        b'{"error": "no such model"}',
        b'{"detail": "no such model"}',
        b'{"object": "error", "message": "no such model", "code": 404}',
        b"no such model",
    ],
)
def test_the_servers_own_words_are_told(body: bytes) -> None:
    error = json.loads(read_refusal(404, {}, body, 5).body)["error"]
    assert error == "the model's server answered 404: no such model"


def test_a_403_about_the_picture_is_no_fault_of_the_key() -> None:
    body = {"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["violence"]}}}
    assert read_refusal(403, {}, json.dumps(body).encode(), 5).status == 422
