"""What comes in by the contract: paths, the key, and the form of a describe call."""

import hmac
import json
from dataclasses import dataclass
from enum import Enum, auto

from imagescribe_ops.contract import answers
from imagescribe_ops.contract.answers import Answer

DESCRIBE_PATH = "/v1/ideogram-describe"
BALANCE_PATH = "/v1/get-user-credits"
MAX_REQUEST_BYTES = 1024 * 1024


class Route(Enum):
    """What a request asks for."""

    DESCRIBE = auto()
    BALANCE = auto()


@dataclass(frozen=True, slots=True)
class DescribeRequest:
    """A describe call as it came in: two headers and the raw body."""

    api_key: str | None
    content_type: str
    body: bytes


def route(method: str, path: str) -> Route | Answer:
    """Give what a request asks for, or the answer to one that asks for nothing there is."""
    path = path.rstrip("/")
    known = {("POST", DESCRIBE_PATH): Route.DESCRIBE, ("GET", BALANCE_PATH): Route.BALANCE}
    is_there = path in (DESCRIBE_PATH, BALANCE_PATH)
    return known.get((method, path)) or (answers.error(405, "method") if is_there else answers.error(404, "path"))


def is_key(given: str | None, key: str) -> bool:
    """Whether a key is the right one; how long that takes tells nothing of the right one."""
    return hmac.compare_digest((given or "").encode(), key.encode())


def read_form(request: DescribeRequest) -> tuple[str | None, Answer | None]:
    """Give the URL of a call, and the answer to one that is ill-formed; such a one may hold a URL all the same."""
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        body = None
    url = body.get("image_file") if isinstance(body, dict) else None
    url = url if isinstance(url, str) and url else None
    if request.content_type.partition(";")[0].strip().lower() != answers.JSON_TYPE:
        return url, answers.error(406, "content type", "Content-Type must be application/json")
    if not isinstance(body, dict):
        return None, answers.error(400, "no JSON", "The body is not a JSON object")
    if url is None:
        return None, answers.error(400, "no image_file", "image_file is required and must be a URL")
    return url, None
