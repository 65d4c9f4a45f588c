"""What the endpoint sends back is kept without the key and without what signs a URL, however it was escaped."""

import html
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, quote, quote_plus, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagescribe.model.answers import read_prompt
from imagescribe.model.text import redact
from tests.factories import API_KEY, PROMPT

ECHOES: Mapping[str, Callable[[str], str]] = {
    "as it is": lambda url: f"could not fetch {url} in time",
    "in JSON": lambda url: json.dumps({"error": f"could not fetch '{url}'", "image_file": url}),
    "in JSON, escaped as PHP does": lambda url: json.dumps(url).replace("/", "\\/"),
    "in JSON, escaped as Gson does": lambda url: json.dumps(url).replace("=", "\\u003d").replace("&", "\\u0026"),
    "in JSON in JSON": lambda url: json.dumps({"error": json.dumps({"image_file": url})}),
    "in JSON in JSON, escaped": lambda url: json.dumps({"error": "no " + escaped(json.dumps({"image_file": url}))}),
    "in JSON that breaks off, escaped": lambda url: escaped(json.dumps({"image_file": url, "id": 5}))[:-1],
    "twice under one name": lambda url: f'{{"url": {json.dumps(url)}, "url": "none"}}',
    "as a name": lambda url: json.dumps({url: 1}),
    "read apart, in escaped JSON": lambda url: escaped(json.dumps(query(url))),
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


def escaped(text: str) -> str:
    """As a cautious writer of JSON has it: whatever is no letter, digit or syntax of JSON is written as an escape."""
    return "".join(
        each if each.isalnum() or each in ' {}[]:,"\\' else f"\\u{ord(each):04X}" if each != "/" else "\\/"
        for each in text
    )


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


@st.composite
def json_strings(draw: st.DrawFn, text: str) -> str:
    """A text as a JSON string in which any character may be escaped, in either case."""
    ways = [
        lambda each: json.dumps(each)[1:-1],
        lambda each: json.dumps(each, ensure_ascii=False)[1:-1],
        lambda each: "".join(f"\\u{unit:04x}" for unit in units(each)),
        lambda each: "".join(f"\\u{unit:04X}" for unit in units(each)),
        lambda each: "\\/" if each == "/" else json.dumps(each)[1:-1],
    ]
    chosen = draw(st.lists(st.sampled_from(ways), min_size=len(text), max_size=len(text)))
    return '"' + "".join(way(each) for way, each in zip(chosen, text, strict=True)) + '"'


def units(character: str) -> list[int]:
    encoded = character.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(encoded[place : place + 2]) for place in range(0, len(encoded), 2)]


def strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list() | tuple():
            for each in value:
                yield from strings(each)


@given(st.data(), signatures, tokens, st.text(st.characters(categories=["L", "P", "S"]), max_size=20))
def test_a_paid_prompt_stays_readable_beside_any_echo_and_no_escape_hides_a_secret(
    data: st.DataObject, signature: str, token: str, more: str
) -> None:
    prompt = f"{PROMPT} 🦊 {more}"
    names = data.draw(json_strings("image_file")), data.draw(json_strings(f"{API_KEY}/id"))
    url = data.draw(json_strings(f'"{presigned(signature, token)}" {more}'))
    key = data.draw(json_strings(f"{more} {API_KEY}"))
    text = data.draw(json_strings(prompt))
    told = redact(f'{{{names[0]}: {url}, {names[1]}: [{key}, 1.50, null], "prompt": {text}}}', API_KEY)
    assert read_prompt(told) == prompt.strip()
    assert "1.50" in told
    said = list(strings(json.loads(told, object_pairs_hook=list)))  # names and values
    assert not [each for each in [told, *said] if signature in each or token in each or API_KEY in each]


def test_a_line_separator_beside_a_value_that_was_read_apart_leaves_the_answer_readable() -> None:
    body = json.dumps({"X-Amz-Signature": f"{'5e' * 32}\u2028\x85\ud83d", "prompt": PROMPT})
    for each in (body, body.replace("\\u2028", "\u2028").replace("\\u0085", "\x85")):
        told = redact(each, API_KEY)
        assert "5e5e" not in told
        assert read_prompt(told) == PROMPT


@given(json_strings(API_KEY))
def test_a_key_is_found_in_an_answer_that_breaks_off(key: str) -> None:
    told = redact(f'{{"error": {key}, "id"', API_KEY)
    assert API_KEY not in told
    assert key not in told


@pytest.mark.parametrize("key", ["nabc-1234", "u005fabc-1234", "REDACTED", '"\\abc"', "ключ-1234"])
def test_a_key_that_looks_like_an_escape_leaves_the_answer_readable(key: str) -> None:
    body = json.dumps({"prompt": PROMPT, "lines": f"one\n{key[1:]} \\{key}", "key": key})
    assert read_prompt(redact(body, key)) == PROMPT
    assert json.loads(redact(body, key))["key"] == "REDACTED"


def test_a_key_that_control_characters_part_is_not_put_together_again() -> None:
    assert read_prompt(redact(json.dumps({"text": f"for {API_KEY[:5]}\u202e{API_KEY[5:]}"}), API_KEY)) == "for REDACTED"


@pytest.mark.parametrize(
    "body", ['{"text": "\\u0061 fox \\/ \\ud83d", "n": 1e400, "n": 1.10}', '[" \\u003d"', "\x1b\u202eraw\r", "\ufeff{}"]
)
def test_a_body_without_secrets_is_kept_as_it_came(body: str) -> None:
    assert redact(body, API_KEY) == body


@pytest.mark.parametrize(
    "body",
    [
        "\\" * 131_072,
        '"' + "\\\\" * 65_000 + '"',
        "[" * 131_072,
        "X-Amz-Signature" * 8_000,
        '"",' * 40_000,
        '"X-Amz-Signature", "' + "\\\\" * 65_000 + '"',
    ],
    ids=lambda body: ascii(body[:20]),
)
def test_a_body_made_to_be_slow_is_read_all_the_same(body: str) -> None:
    for each in (body, f"[{body.rstrip(',')}]"):
        assert API_KEY not in redact(each, API_KEY)
