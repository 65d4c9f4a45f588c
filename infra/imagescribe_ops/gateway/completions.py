"""OpenAI's chat completions: the request, and what an answer means in the contract's words. Pure functions.

https://platform.openai.com/docs/api-reference/chat/create. The servers that speak it differ in what they leave out and
in how they word errors, so an answer is read tolerantly. ``stream`` is not sent, since some refuse it whatever its
value; an answer that streams all the same is put together.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from imagescribe.model.text import clean, parse_json
from imagescribe_ops.contract import answers
from imagescribe_ops.contract.answers import Answer

MAX_PROMPT_LENGTH = 8000
"""Characters. More is a model that repeats itself; what reads the answer stops at 64 KB."""

MAX_WORDS_LENGTH = 500

_BUSY = re.compile(r"busy|overloaded|capacity|too many|pending requests|no slots", re.IGNORECASE)
_SPENT = re.compile(r"insufficient_quota|insufficient credits|credit balance|billing|payment", re.IGNORECASE)
_THOUGHTS = re.compile(r"^.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"^```\w*\n(.*?)\n?```$", re.DOTALL)
_LABEL = re.compile(r"^\**(?:prompt|description)\**:\**\s*", re.IGNORECASE)
_QUOTES = {'"': '"', "“": "”", "'": "'"}


class NoPromptError(Exception):
    """An answer without a prompt; `answer` says it in the contract's words."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.because)
        self.answer = answer


def request_body(model: str, instruction: str, jpeg: bytes, options: Mapping[str, object]) -> dict[str, object]:
    """Give the request that shows the model a picture and asks it."""
    picture = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
    content = [{"type": "text", "text": instruction}, {"type": "image_url", "image_url": {"url": picture}}]
    return {"model": model, "messages": [{"role": "user", "content": content}], **options}


def read_prompt(content_type: str, body: bytes) -> str:
    """Read the prompt in the body of a 200.

    Raises
    ------
    NoPromptError
        There is none: the model would not answer (422), it answered nothing, or its server did (502).
    """
    text = body.decode("utf-8", errors="replace")
    try:
        is_stream = content_type.partition(";")[0].strip() == "text/event-stream"
        choices = list(_streamed(text)) if is_stream else parse_json(text)["choices"]
        if not choices:
            raise _no_prompt(502, "garbage", "the model's server answered without a choice")
        messages = [choice.get("delta" if is_stream else "message") or {} for choice in choices]
        finish = {choice.get("finish_reason") for choice in choices}
        said = "".join(_text(message.get("content")) for message in (messages if is_stream else messages[:1]))
        refused = "".join(_text(message.get("refusal")) for message in messages)
    except (ValueError, LookupError, TypeError, AttributeError):
        raise _no_prompt(502, "garbage", "the model's server answered with what is no chat completion") from None
    if refused or "content_filter" in finish:
        raise _no_prompt(422, "refused", f"the model would not describe the picture: {_words(refused or 'filtered')}")
    if prompt := _tidy(said):
        return prompt
    # A 200, as the endpoint's would be: a hosted model was paid for it, and is not to be paid again by itself.
    thinking = ", since it used all its tokens before" if "length" in finish else ""
    words = {"descriptions": [], "error": f"the model answered without text{thinking}"}
    raise NoPromptError(answers.json_answer(200, words, "empty"))


def read_refusal(status: int, headers: Mapping[str, str], body: bytes, retry_after_s: int) -> Answer:
    """Say in the contract's words what an answer other than 200 means.

    What is not the picture's fault is told as a limit (429), as the model's failure (5xx), or as what a person has to
    look at (403, 404, 406), so that a caller waits and gives no picture up; what the model refuses of a picture is 422.

    Parameters
    ----------
    headers
        Case-insensitive, or with lower-case names.
    retry_after_s
        When to come back where the answer does not say.
    """
    error = _error(body)
    words = f"the model's server answered {status}: {_words(error)}"
    later = {"Retry-After": headers.get("retry-after") or str(retry_after_s)}
    match status:
        case 402:
            return _spent(words)
        case 429 if _SPENT.search(error):
            return _spent(words)
        case 429:
            return answers.error(429, "model's limit", words, later)
        case 503 | 529 if _BUSY.search(error):
            return answers.error(429, "model is busy", words, later)
        case 403 if _is_moderation(body):
            return answers.error(422, "refused", words)
        case 401 | 403:
            return answers.error(403, "model's key", words)
        case 404 | 405 | 410:
            return answers.error(404, "no such model", words)
        case _ if 300 <= status < 400:
            return answers.error(404, "redirect", f"the model's server redirects ({status}): is its URL right?")
        case 408 | 504:
            return answers.error(504, "model's time-out", words, later)
        case 503 | 529:
            return answers.error(503, "model is away", words, later)
        case _ if 400 <= status < 500:
            return answers.error(422, "refused", words)
        case _:
            return answers.error(502, f"model's {status}", words, later)


def _no_prompt(status: int, because: str, words: str) -> NoPromptError:
    return NoPromptError(answers.error(status, because, words))


def _spent(words: str) -> Answer:
    return answers.error(406, "model's credits", f"{answers.NO_CREDITS} ({words})", {"x-remaining-credits": "0"})


def _streamed(text: str) -> Iterator[dict[str, Any]]:
    """Give the first choice of each event of a stream."""
    for line in text.splitlines():
        event = line.removeprefix("data:").strip()
        if line.startswith("data:") and event != "[DONE]":
            yield from parse_json(event)["choices"][:1]


def _text(content: object) -> str:
    """Give a message's text, which some servers answer in parts."""
    match content:
        case str():
            return content
        case list():
            return "".join(part["text"] for part in content if part.get("type") == "text")
        case _:
            return ""


def _tidy(text: str) -> str:
    """Take off what models put around a prompt: thoughts, a fence, a label, quotes."""
    text = _THOUGHTS.sub("", clean(text)).strip()
    if fenced := _FENCE.match(text):
        text = fenced[1].strip()
    text = _LABEL.sub("", text)
    if len(text) > 1 and _QUOTES.get(text[0]) == text[-1] and text[0] not in text[1:-1]:
        text = text[1:-1].strip()
    if len(text) <= MAX_PROMPT_LENGTH:
        return text
    return text[:MAX_PROMPT_LENGTH].rsplit(maxsplit=1)[0]


def _error(body: bytes) -> str:
    """Give the words of an error: OpenAI's object, Ollama's string, FastAPI's detail, or whatever there is."""
    text = body.decode("utf-8", errors="replace")
    try:
        parsed = parse_json(text)
    except ValueError:
        return "an HTML page" if text.lstrip().startswith("<") else text
    match parsed:
        case {"error": {"message": str(message), "code": str(code)}}:
            return f"{message} ({code})"
        case {"error": {"message": str(message)}} | {"error": str(message)} | {"message": str(message)}:
            return message
        case {"detail": detail}:
            return detail if isinstance(detail, str) else json.dumps(detail)
        case _:
            return text


def _is_moderation(body: bytes) -> bool:
    """Whether a 403 is about the picture, as OpenRouter words it: https://openrouter.ai/docs/api-reference/errors."""
    try:
        return bool(parse_json(body.decode("utf-8", errors="replace"))["error"]["metadata"]["reasons"])
    except (ValueError, LookupError, TypeError):
        return False


def _words(text: str) -> str:
    said = " ".join(clean(text).split())
    return (said if len(said) <= MAX_WORDS_LENGTH else f"{said[: MAX_WORDS_LENGTH - 1]}…") or "no further words"
