"""The imaging function, invoked: a JPEG of what the endpoint would not take as it is, and thumbnails.

What it makes stands in the bucket of derived objects under its content, and expires by itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Protocol

from botocore.config import Config
from botocore.exceptions import ClientError

from imagescribe.aws.clients import MAX_SIDE_BY_SIDE
from imagescribe.aws.s3 import Addressed, error_code
from imagescribe.errors import ImageScribeError
from imagescribe.model.answers import Limited, Transient
from imagescribe.model.text import clean

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

CLIENT_CONFIG: Final = Config(
    connect_timeout=2,
    read_timeout=70,  # longer than the function's time-out
    retries={"mode": "standard", "total_max_attempts": 1},  # a picture that took too long would take as long again
    max_pool_connections=MAX_SIDE_BY_SIDE,
)

_BUSY: Final = frozenset({"TooManyRequestsException", "ServiceException", "EC2ThrottledException"})
_MAX_WORDS: Final = 300


class Stored(Addressed, Protocol):
    """An object of the image bucket, as an upload or a record of the catalog tells of it."""

    @property
    def etag(self) -> str:
        """Of its content."""

    @property
    def size(self) -> int:
        """Bytes."""


@dataclass(frozen=True, slots=True)
class Derived:
    """A picture in the bucket of derived objects.

    Attributes
    ----------
    is_new
        Whether it was made just now, which took its time.
    """

    bucket: str
    key: str
    is_new: bool = False
    version_id: None = None


@dataclass(frozen=True, slots=True)
class Unfit:
    """No picture can be made of the object, and none ever will."""

    reason: str


class ImagingError(ImageScribeError):
    """The imaging function failed, and not over what is in the object."""


def thumbnail_key(image: Stored) -> str:
    """Return where the thumbnail of an object stands, if there is one."""
    return f"thumbnails/{_content(image)}"


class Imaging:
    """The imaging function.

    Parameters
    ----------
    make_client
        Called when the function is first needed: most batches never do, and a client takes a while to make.
    """

    def __init__(self, make_client: Callable[[], LambdaClient], function: str) -> None:
        self._make_client = make_client
        self._client: LambdaClient | None = None
        self._lock = Lock()
        self._function = function

    def rendition(self, image: Stored, max_bytes: int) -> Derived | Unfit | Transient | Limited:
        """Have a JPEG made that the endpoint takes, unless there is one.

        Returns
        -------
        Transient
            The function failed: an attempt.
        Limited
            Lambda runs no more of it side by side now: not an attempt.
        """
        try:
            return self._invoke("rendition", image, max_bytes=max_bytes)
        except ImagingError as error:
            return Transient(str(error))
        except ClientError as error:
            if error_code(error) in _BUSY:
                return Limited("the imaging function is busy", None)
            raise

    def thumbnail(self, image: Stored) -> Derived | Unfit:
        """Have a WebP of at most 512 px made, unless there is one.

        Raises
        ------
        ImagingError
            The function failed.
        """
        return self._invoke("thumbnail", image)

    def _invoke(self, what: str, image: Stored, **more: int) -> Derived | Unfit:
        source = {name: getattr(image, name) for name in ("bucket", "key", "version_id", "etag")}
        event = {what: {**source, "content": _content(image), **more}}
        answer = self._lambda().invoke(FunctionName=self._function, Payload=json.dumps(event).encode())
        said: dict[str, Any] = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            words = clean(f"{said.get('errorType', '')}: {said.get('errorMessage', '')}")[:_MAX_WORDS]
            raise ImagingError(f"the imaging function failed ({words})")
        if "unfit" in said:
            return Unfit(clean(said["unfit"]))
        return Derived(said["bucket"], said["key"], said["is_new"])

    def _lambda(self) -> LambdaClient:
        with self._lock:
            self._client = self._client or self._make_client()
            return self._client


def _content(image: Stored) -> str:
    return f"{image.etag}-{image.size}"
