"""S3 annotations: the whole prompt on its object, with the model that wrote it and the time.

boto3 has PutObjectAnnotation from 1.43.31 on, and nobody promises which one a Lambda runtime has. So the request is
made here, and signed by botocore's own signer, which every boto3 has:
https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectAnnotation.html
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from random import SystemRandom
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.httpsession import URLLib3Session

from imagescribe.aws.clients import CONNECT_SECONDS, MAX_SIDE_BY_SIDE, READ_SECONDS
from imagescribe.aws.s3 import error_code
from imagescribe.model.tags import TagState

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_s3 import S3Client

    from imagescribe.model.events import Upload

NAME: Final = "imagescribe.prompt"
MAX_TRIES: Final = 3

_ANOTHER_OBJECT: Final = frozenset(
    {"PreconditionFailed", "NoSuchKey", "NoSuchVersion", "NoSuchBucket", "MethodNotAllowed"}
)
_PASSING: Final = frozenset({"ExpiredToken", "InvalidToken", "RequestTimeTooSkewed", "RequestTimeout", "SlowDown"})
"""Of the errors that are S3's answer to a request that was wrong, those that another attempt may not get."""


class Http(Protocol):
    """Sends a prepared request."""

    def send(self, request: Any) -> Any:
        """Return the answer, with `status_code` and `content`."""


def annotation_text(prompt: str, model: str | None, described_at: str) -> str:
    """Return what an annotation says: JSON."""
    return json.dumps({"prompt": prompt, "model": model, "described_at": described_at}, ensure_ascii=False)


class Annotations:
    """Writes annotations onto the bucket's objects.

    Parameters
    ----------
    client
        Whose region and addresses are taken.
    session
        Whose credentials sign.
    """

    def __init__(
        self,
        client: S3Client,
        session: boto3.Session,
        http: Http | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._session = session
        timeout: Any = (CONNECT_SECONDS, READ_SECONDS)  # its types know one number alone
        self._http = http or URLLib3Session(timeout=timeout, max_pool_connections=MAX_SIDE_BY_SIDE)
        self._sleep = sleep

    def write(self, upload: Upload, prompt: str, model: str | None, described_at: str) -> TagState | None:
        """Write the annotation, in place of the one that may be there. None where the object is another one by now.

        Raises
        ------
        botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError
            S3 can't do it now.
        """
        try:
            self._put(upload, annotation_text(prompt, model, described_at).encode())
        except ClientError as error:
            state = refused(error)
            if state is TagState.DENIED:
                # What is paid for does not hang on it: it may be that the region has none.
                from imagescribe.log import logger  # noqa: PLC0415 - the command, which has none, reads this module too

                code = error_code(error)
                logger.error("S3 refused an annotation", extra={"image": upload.image, "error": code})  # noqa: TRY400 - the code says it all
            return state
        return TagState.WRITTEN

    def _put(self, upload: Upload, content: bytes) -> None:
        url = self._client.generate_presigned_url("get_object", Params={"Bucket": upload.bucket, "Key": upload.key})
        version = f"&versionId={quote(upload.version_id, safe='')}" if upload.version_id else ""
        address = f"{url.partition('?')[0]}?annotation&annotationName={NAME}{version}"
        headers = {"Content-Type": "application/json", "x-amz-object-if-match": f'"{upload.etag}"'}
        for tries in range(1, MAX_TRIES + 1):
            request = AWSRequest("PUT", address, headers=headers, data=content)
            self._sign(request)
            try:
                answer = self._http.send(request.prepare())
            except BotoCoreError:
                if tries == MAX_TRIES:
                    raise
            else:
                if answer.status_code < 300:
                    return
                if answer.status_code < 500 or tries == MAX_TRIES:
                    raise _client_error(answer.status_code, answer.content)
            self._sleep(SystemRandom().uniform(0, 0.1 * 2**tries))

    def _sign(self, request: AWSRequest) -> None:
        credentials = self._session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        frozen = credentials.get_frozen_credentials()  # they may be renewed between the reading of two parts of them
        S3SigV4Auth(frozen, "s3", self._client.meta.region_name).add_auth(request)


def refused(error: ClientError) -> TagState | None:
    """Return what a refusal means for an annotation. None where the object is another one by now.

    Raises
    ------
    botocore.exceptions.ClientError
        The same, where S3 only can't do it now.
    """
    code = error_code(error)
    if code in _ANOTHER_OBJECT:
        return None
    if code == "AnnotationLimitExceeded":
        return TagState.FULL
    if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500 or code in _PASSING:
        raise error
    return TagState.DENIED


def _client_error(status: int, body: bytes) -> ClientError:
    found: Mapping[str, str] = dict(re.findall(r"<(Code|Message)>([^<]*)<", body.decode("utf-8", "replace")))
    error = {"Code": found.get("Code", str(status)), "Message": found.get("Message", "")}
    response: Any = {"Error": error, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "PutObjectAnnotation")
