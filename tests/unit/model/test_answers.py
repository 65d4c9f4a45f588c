"""What an answer means follows from its status, headers and body; a prompt is read in whatever shape it comes."""

import html
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, quote, quote_plus, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from imagescribe.model.answers import (
    MAX_DETAIL_LENGTH,
    AccountFault,
    Limited,
    Refusal,
    Rejected,
    Transient,
    classify,
    error_words,
    is_spent,
    read_prompt,
    redact,
)
from tests.factories import API_KEY, PROMPT, make_description

NOW = 1_793_610_900.0


def refused(status: int, body: str = '{"error": "no"}', headers: Mapping[str, str] | None = None) -> Refusal:
    return classify(status, headers or {}, body, NOW)


# ── What each status means ───────────────────────────────────────────────────────────────────────────────────────────


def test_429_is_a_limit_until_the_time_that_it_tells() -> None:
    assert refused(429) == Limited("429: no", None)
    assert refused(429, headers={"retry-after": "7"}) == Limited("429: no", NOW + 7)
    assert refused(429, headers={"x-rate-limit-reset-at-utc": str(NOW + 9)}) == Limited("429: no", NOW + 9)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 520, 599])
def test_a_failure_of_the_endpoint_is_an_attempt(status: int) -> None:
    assert refused(status) == Transient(f"{status}: no")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_the_accounts_fault_and_another_key_may_help(status: int) -> None:
    assert refused(status) == AccountFault(f"{status}: no", concerns_key=True)


@pytest.mark.parametrize("status", [402, 404, 405, 410])
def test_a_wrong_url_a_retired_model_and_an_unpaid_bill_are_the_accounts_fault(status: int) -> None:
    assert refused(status) == AccountFault(f"{status}: no")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_the_accounts_fault_and_asks_for_the_url(status: int) -> None:
    answer = refused(status)
    assert isinstance(answer, AccountFault)
    assert "DescribeUrl" in answer.detail


@pytest.mark.parametrize("status", [400, 413, 415, 422, 406, 409, 411, 431, 451])
def test_what_the_endpoint_will_not_describe_is_rejected_in_its_own_words(status: int) -> None:
    assert refused(status, '{"error": "Image is too blurry"}') == Rejected(f"{status}: Image is too blurry")


@pytest.mark.parametrize("status", [201, 202, 204])
def test_another_success_than_200_is_not_billed_and_tried_again(status: int) -> None:
    assert refused(status, "") == Transient(f"{status}: no further words")


@given(st.integers(100, 599), st.text(), st.dictionaries(st.sampled_from(["retry-after"]), st.text()))
def test_every_status_means_something(status: int, body: str, headers: dict[str, str]) -> None:
    answer = classify(status, headers, body, NOW)
    assert answer.detail.startswith(f"{status}: ")


# ── 406 means several things ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "words",
    [
        "Insufficient credits. Please add credits to your account to continue.",
        "Your balance is too low",
        "Team spend cap reached",
        "Monthly quota exceeded",
        "Payment required",
        "Please top up your account",
        "Please top-up your account",
    ],
)
@pytest.mark.parametrize("headers", [{}, {"x-remaining-credits": "12.5"}, {"x-remaining-credits": "many"}])
def test_a_406_that_speaks_of_money_is_the_accounts_fault_whatever_credits_are_left(
    words: str, headers: dict[str, str]
) -> None:
    # A team's spend cap is reached while its account has credits.
    assert refused(406, json.dumps({"error": words}), headers) == AccountFault(f"406: {words}")


@pytest.mark.parametrize("left", ["0", "0.0", "-1", "0.0149", " 0 "])
def test_a_406_with_no_credits_left_is_the_accounts_fault_whatever_it_says(left: str) -> None:
    headers = CaseInsensitiveDict({"X-Remaining-Credits": left})
    assert refused(406, '{"error": "Not acceptable"}', headers) == AccountFault("406: Not acceptable")


@pytest.mark.parametrize("words", ["Not acceptable", "Content-Type must be application/json", "image_file is invalid"])
@pytest.mark.parametrize("headers", [{}, {"x-remaining-credits": "0.015"}, {"x-remaining-credits": "many"}])
def test_any_other_406_is_a_rejection(words: str, headers: dict[str, str]) -> None:
    assert refused(406, json.dumps({"error": words}), headers) == Rejected(f"406: {words}")


@pytest.mark.parametrize(
    ("balance", "spent"),
    [
        ({"credits": 0.0}, True),
        ({"credits": 0, "free-credits": 0.01}, True),
        ({"credits": -3.5}, True),
        ({"credits": 0.015}, False),
        ({"credits": 0.0, "free-credits": 5.0}, False),
        ({"credits": 0.01, "free-credits": 0.005}, False),
        ({"credits": "none"}, None),
        ({"credits": None}, None),
        ({"user": 0}, None),
        ({}, None),
        ([0.0], None),
        ("0.0", None),
        (None, None),
    ],
)
def test_a_balance_is_spent_only_where_it_says_so(balance: object, spent: bool | None) -> None:
    assert is_spent(balance) is spent


# ── The endpoint's words ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"error": "Invalid API key"}', "Invalid API key"),
        (
            '{"error": "Forbidden", "error_description": "Key is blocked", "status_code": 403}',
            "Forbidden. Key is blocked",
        ),
        ('{"message": "over\\n two   lines"}', "over two lines"),
        ('{"detail": [{"loc": ["image_file"], "msg": "bad"}]}', '[{"loc": ["image_file"], "msg": "bad"}]'),
        ('{"error": {"code": 7}}', '{"code": 7}'),
        ('{"error": "", "message": null}', '{"error": "", "message": null}'),
        ('{"reason": "none"}', '{"reason": "none"}'),
        ('["a", "list"]', '["a", "list"]'),
        ('"text"', '"text"'),
        ("Bad gateway", "Bad gateway"),
        ("<html><head><title>405 Not Allowed</title></head>", "an HTML page: 405 Not Allowed"),
        ("<!doctype html><h1>It works!</h1>", "an HTML page"),
        ('{"error": "half', '{"error": "half'),
        ("", "no further words"),
        (" \n ", "no further words"),
    ],
)
def test_the_endpoints_words_are_told_on_one_line(body: str, words: str) -> None:
    assert error_words(body) == words


@given(st.text() | st.text().map(lambda words: json.dumps({"error": words})))
@example('{"error": ' + "[" * 3_000 + "]" * 3_000 + "}")
@example("[" * 100_000)
@example('{"error": "half of an emoji: \\ud83d"}')
@example("<title>" * 10_000)
def test_any_error_body_gives_some_words_on_one_line_that_can_be_kept(body: str) -> None:
    words = error_words(body)
    assert 0 < len(words) <= MAX_DETAIL_LENGTH
    assert words == " ".join(words.split())
    words.encode()


# ── The prompt in a 200 ──────────────────────────────────────────────────────────────────────────────────────────────

SHAPES: Mapping[str, Callable[[str], Any]] = {
    "Ideogram's": lambda text: {"descriptions": [{"text": text}]},
    "several descriptions": lambda text: {"descriptions": [{"text": text}, {"text": "another"}]},
    "a description without a text, and one with": lambda text: {"descriptions": [{"text": None}, {"text": text}]},
    "a list of strings": lambda text: [text],
    "a list of objects": lambda text: [{"text": text}],
    "prompt": lambda text: {"prompt": text},
    "description": lambda text: {"description": text, "id": 5},
    "caption in data": lambda text: {"status": "ok", "data": {"caption": text}},
    "output": lambda text: {"output": [text]},
    "outputs of results": lambda text: {"results": {"outputs": [{"prompt": text}]}},
    "a null before it": lambda text: {"text": None, "prompt": text},
    "an empty text before it": lambda text: {"text": " ", "descriptions": [text]},
    "a JSON string": lambda text: text,
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(
    "text", [PROMPT, f" {PROMPT}\n", "It's 5% “quoted”, ünïcode 写真 🦊\nin two lines", "{not JSON}"]
)
def test_a_prompt_is_read_in_every_known_shape(shape: Callable[[str], Any], text: str) -> None:
    assert read_prompt(json.dumps(shape(text))) == text.strip()
    assert read_prompt("\ufeff " + json.dumps(shape(text), ensure_ascii=False, indent=2)) == text.strip()


@pytest.mark.parametrize("name", ["text", "prompt", "description", "caption"])
@pytest.mark.parametrize(
    "names", ["descriptions", "prompts", "captions", "output", "outputs", "results", "result", "data"]
)
def test_a_prompt_is_read_under_every_usual_name(name: str, names: str) -> None:
    assert read_prompt(json.dumps({name: PROMPT})) == PROMPT
    assert read_prompt(json.dumps({names: PROMPT})) == PROMPT
    assert read_prompt(json.dumps({"id": "7d5f", names: [{name: PROMPT}]})) == PROMPT


@pytest.mark.parametrize("text", [PROMPT, f"\ufeff{PROMPT}\n", "(!?), '…' — \"&%#*\" ;;", "word " * 4_000])
def test_bare_text_is_a_prompt_even_if_it_is_long_or_all_punctuation(text: str) -> None:
    assert read_prompt(text) == text.removeprefix("\ufeff").strip()


@pytest.mark.parametrize(
    "body",
    [
        "",
        " \n",
        "null",
        "true",
        "5",
        "{}",
        "[]",
        "[null]",
        '""',
        '" "',
        '{"descriptions": []}',
        '{"descriptions": null}',
        '{"descriptions": [{}]}',
        '{"descriptions": [{"text": null}]}',
        '{"descriptions": [{"text": ""}]}',
        '{"descriptions": [{"text": 5}]}',
        '{"id": "7d5f", "status": "done"}',
        '{"descriptions": [{"text": "a light',
        '["a light',
        '"a light',
        "<!doctype html><html><body><h1>It works!</h1></body></html>",
        "<html>",
        "[" * 50_000,
        "[" * 900 + "]" * 900,
        "[" * 3_000 + '"deep"' + "]" * 3_000,
    ],
    ids=lambda body: ascii(body[:40]),
)
def test_what_is_no_prompt_is_not_taken_for_one(body: str) -> None:
    assert read_prompt(body) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["descriptions", "text", "prompt", "data", "id"]), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(json_values.map(json.dumps) | st.text())
@example('{"text": "half of an emoji: \\ud83d"}')
@example('{"text": "\\ud83d"}')
def test_any_body_gives_a_prompt_that_can_be_kept_or_none(body: str) -> None:
    prompt = read_prompt(body)
    if prompt is not None:
        assert prompt == prompt.strip() != ""
        prompt.encode()


def test_a_description_reads_its_prompt_from_the_body_that_was_kept() -> None:
    assert make_description().prompt == PROMPT
    assert make_description(body="<html>").prompt is None


# ── Secrets that the endpoint sends back ─────────────────────────────────────────────────────────────────────────────

ECHOES: Mapping[str, Callable[[str], str]] = {
    "as it is": lambda url: f"could not fetch {url} in time",
    "in JSON": lambda url: json.dumps({"error": f"could not fetch '{url}'", "image_file": url}),
    "in JSON, escaped as PHP does": lambda url: json.dumps(url).replace("/", "\\/"),
    "in JSON, escaped as Gson does": lambda url: json.dumps(url).replace("=", "\\u003d").replace("&", "\\u0026"),
    "in JSON in JSON": lambda url: json.dumps({"error": json.dumps({"image_file": url})}),
    "in HTML": lambda url: f"<a href='{html.escape(url)}'>{html.escape(url)}</a>",
    "in HTML with references": lambda url: url.replace("=", "&#61;").replace("&X", "&amp;X"),
    "in a query": lambda url: f"/fetch?url={quote(url, safe='')}&then=x",
    "in a form": lambda url: f"url={quote_plus(url)}",
    "in a query in a query": lambda url: f"/a?b={quote(f'/fetch?url={quote(url, safe="")}', safe='')}",
    "in small letters": lambda url: url.lower(),
    "read apart, in JSON": lambda url: json.dumps({name: values[0] for name, values in query(url).items()}),
    "read apart, in JSON lists": lambda url: json.dumps(query(url), indent=2),
    "read apart, in Python's words": lambda url: repr(query(url)),
    "read apart, in lines": lambda url: "\n".join(f"{name}: {values[0]}" for name, values in query(url).items()),
    "cut off": lambda url: url[:-1],
}


def query(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query)


def presigned(signature: str, token: str) -> str:
    return (
        "https://imagescribe-test.s3.eu-central-1.amazonaws.com/pets/cat.png?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=ASIAEXAMPLE%2F20261102%2Feu-central-1%2Fs3%2Faws4_request&X-Amz-Date=20261102T091500Z"
        f"&X-Amz-Expires=300&X-Amz-SignedHeaders=host&X-Amz-Security-Token={quote(token, safe='')}"
        f"&X-Amz-Signature={signature}"
    )


signatures = st.text("0123456789abcdef", min_size=64, max_size=64)
tokens = st.text("ABCXYZabcxyz0189", min_size=40, max_size=60)


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
@given(signature=signatures, token=tokens)
def test_no_signature_and_no_session_token_survives_however_the_url_is_echoed(
    echo: Callable[[str], str], signature: str, token: str
) -> None:
    told = redact(echo(presigned(signature, token)), API_KEY).lower()
    assert signature[:-1] not in told
    assert token.lower() not in told


@given(st.text(), st.text())
def test_the_key_never_survives(before: str, after: str) -> None:
    assert API_KEY not in redact(f"{before}{API_KEY}{after}{API_KEY}", API_KEY)


@pytest.mark.parametrize(
    "text", ["", PROMPT, "X-Amz-Signature is missing", "a cat & a dog = friends", '{"error": "X-Amz-Signature: bad"}']
)
def test_text_without_secrets_is_left_as_it_is(text: str) -> None:
    assert redact(text, API_KEY) == text
    assert redact(text, "") == text


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("could not fetch image_file: status 503", Transient),
        ("Failed to download the image", Transient),
        ("Unable to access image url", Transient),
        ("image_file is missing", Rejected),
        ("could not decode the image", Rejected),
    ],
)
def test_an_image_that_the_endpoint_could_not_fetch_is_tried_again(words: str, kind: type) -> None:
    assert isinstance(refused(400, json.dumps({"error": words}), {}), kind)
