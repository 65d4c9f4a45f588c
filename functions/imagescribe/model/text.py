"""Text from outside: parsed within bounds, without secrets, and without characters that nobody sees."""

import json
import re
from typing import Any

# Nobody sees these, and they steer who reads on: terminals by control characters, people by bidi controls, language
# models by tag characters. Joiners and variation selectors stay, since emoji and some scripts are written with them.
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
)

_NAME = r"X-Amz-(?:Signature|Security-Token|Credential)\W{0,20}"  # with what parts it from its value, however quoted
_VALUE = r"[^&\s\"'<>\\]{16,}"
_SIGNATURES = re.compile(f"({_NAME}){_VALUE}", re.IGNORECASE)
_ENDS_IN_NAME = re.compile(f"{_NAME}$", re.IGNORECASE)

_JSON_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')
_ESCAPES = re.compile(r"(?<!\\)\\+(?:u00([2-7][0-9a-f])|/)", re.IGNORECASE)  # of ASCII, as keys and URLs are


def parse_json(text: str) -> Any:
    """Parse JSON that somebody else wrote.

    Raises
    ------
    ValueError
        It is none, or nested too deeply.
    """
    try:
        return json.loads(text.strip().removeprefix("\ufeff").strip())
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def clean(text: str) -> str:
    """Take out control characters but newline and tab, bidi controls and tag characters.

    Other line breaks become newlines; halves of surrogate pairs, such as an emoji cut in two leaves in JSON, become
    question marks, since no AWS service takes them.
    """
    return _INVISIBLE.sub("", "\n".join(text.splitlines())).encode("utf-8", "replace").decode()


def redact(body: str, api_key: str) -> str:
    """Take the key, and what signs a presigned URL, out of a body that the endpoint sent back.

    JSON stays JSON: only the strings that hold a secret, names included, are written anew.
    """
    try:
        parse_json(body)
    except ValueError:
        return _redact(body, api_key)
    before = ""

    def string(match: re.Match[str]) -> str:
        nonlocal before
        said: str = json.loads(match[0])
        told = _redact(said, api_key)
        if _ENDS_IN_NAME.search(before) and re.search(_VALUE, said):  # a query that was parsed into names and values
            told = "REDACTED"
        before = said
        return match[0] if told == said else json.dumps(clean(told), ensure_ascii=False)

    # String by string, since an object forgets a value whose name comes twice, and a number how it was written.
    return _JSON_STRING.sub(string, body)


def _redact(text: str, api_key: str) -> str:
    # JSON in a string, or that broke off, can still hide a secret behind escapes, and invisible characters can part it.
    plain = clean(_ESCAPES.sub(lambda escape: chr(int(escape[1] or "2f", 16)), text))
    told = _SIGNATURES.sub(r"\1REDACTED", plain.replace(api_key, "REDACTED") if api_key else plain)
    return text if told == plain else told
