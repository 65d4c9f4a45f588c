"""What the gallery's server answers.

=====================================  ==========================================================================
``GET /``, ``/app.js``, …              the page
``GET /api/…``                         what the stack's query function answers to the same route, asked by signed GETs
``GET /picture/ID``, ``/thumbnail/ID`` a picture from the bucket; parameters ``version``, ``etag``, ``size``
``GET /tags/ID``                       the object's tags
``GET /standing``                      why nothing is happening, if nothing is
``POST /retry``                        ``{"id": …, "force": …}``: describe an image again. The one route that writes
=====================================  ==========================================================================

Errors are problem+json with ``advice``, as the query function's are. Endpoints are plain functions, which Starlette
runs in threads: boto3 waits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from imagescribe.model.answers import PRICE_USD
from imagescribe.query import page
from imagescribe.query.errors import QueryError
from imagescribe.query.records import image_id, image_of_id
from imagescribe_ops.aws.errors import readable_errors
from imagescribe_ops.aws.queue_depth import QueueDepth
from imagescribe_ops.errors import NotFoundError, OperationError
from imagescribe_ops.gallery.pictures import NoPreviewError, Pictures, Stored
from imagescribe_ops.query_client import QueryClient, read_answer
from imagescribe_ops.standing import backfill_depth, why_nothing_happens

if TYPE_CHECKING:
    from imagescribe_ops.operations import Operations

_ASKED: Final = re.compile(r"(search|images|stats|images/[A-Za-z0-9_-]{1,2048})")
"""Not a picture's presigned URL: pictures come through here."""

_KEPT: Final = {"Cache-Control": "private, max-age=3600"}
_MAX_BODY_BYTES: Final = 4_096


class Routes:
    """The routes, over one stack."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._outputs = operations.outputs
        self._query = QueryClient(operations.connection, operations.outputs)
        derived_bucket = operations.outputs.derived_bucket_name
        self._pictures = Pictures(operations.connection.s3(), derived_bucket, self._thumbnail_of_stack)

    def application(self) -> Starlette:
        """Return the routes as an ASGI application."""
        return Starlette(
            routes=[
                Route("/api/{path:path}", self._api),
                Route("/picture/{id}", self._picture),
                Route("/thumbnail/{id}", self._thumbnail),
                Route("/tags/{id}", self._tags),
                Route("/standing", self._standing),
                Route("/retry", self._retry, methods=["POST"]),
                Route("/", self._file),
                Route("/{name}", self._file),
            ],
            exception_handlers={OperationError: _operation_problem, QueryError: _query_problem},
        )

    def _file(self, request: Request) -> Response:
        name = request.path_params.get("name", page.INDEX)
        if name not in page.FILES:
            return _problem(HTTPStatus.NOT_FOUND, "There is no such page.")
        return Response(page.content(name), media_type=page.FILES[name])

    def _api(self, request: Request) -> Response:
        path = request.path_params["path"]
        if not _ASKED.fullmatch(path):
            return _problem(HTTPStatus.NOT_FOUND, "The gallery does not ask this.")
        answer = self._query.ask(f"/{path}", dict(request.query_params))
        kind = answer.headers.get("Content-Type", "")
        if not kind.endswith("json") or not (answer.ok or "problem" in kind):
            read_answer(answer)  # which raises: it is not the function that answered
        return Response(answer.content, answer.status_code, media_type=kind)

    def _picture(self, request: Request) -> Response:
        stored = self._stored(request)
        try:
            opened = self._pictures.open(stored)
        except NoPreviewError:
            # Better a small picture than none; the JPEG that was made for the endpoint is gone after a day.
            with suppress(NoPreviewError):
                return Response(self._pictures.thumbnail(stored), media_type="image/webp", headers=_KEPT)
            raise
        headers = {**_KEPT, "Content-Length": str(opened.size)}
        return StreamingResponse(opened.chunks, media_type=opened.content_type, headers=headers)

    def _thumbnail(self, request: Request) -> Response:
        return Response(self._pictures.thumbnail(self._stored(request)), media_type="image/webp", headers=_KEPT)

    def _thumbnail_of_stack(self, stored: Stored) -> bytes | None:
        """Return the thumbnail that the stack's imaging function makes; None where it can't now.

        Raises
        ------
        NoPreviewError
            It says that there can be none, and why.
        """
        path = f"/images/{image_id(f's3://{stored.bucket}/{stored.key}')}/picture"
        try:
            answer = self._query.ask(path, {"size": "thumbnail", "redirect": "false"})
            if answer.ok:
                return self._query.fetch(answer.json()["url"])
        except OperationError:
            return None
        if answer.status_code == HTTPStatus.NOT_FOUND and "problem" in answer.headers.get("Content-Type", ""):
            raise NoPreviewError(answer.json()["detail"], "Open the picture itself, or download it.")
        return None

    def _tags(self, request: Request) -> Response:
        stored = self._stored(request)
        version: dict[str, Any] = {"VersionId": stored.version_id} if stored.version_id else {}
        with readable_errors():
            answer = self._operations.connection.s3().get_object_tagging(
                Bucket=stored.bucket, Key=stored.key, **version
            )
        return JSONResponse({"tags": [[tag["Key"], tag["Value"]] for tag in answer["TagSet"]]})

    def _standing(self, _request: Request) -> Response:
        connection, outputs = self._operations.connection, self._outputs
        uploads = QueueDepth.read(connection, outputs.upload_queue_url)
        backfill = backfill_depth(connection, outputs)
        dead_letters = QueueDepth.read(connection, outputs.dead_letter_queue_url)
        intake = self._operations.intake()
        return JSONResponse(
            {
                "why": why_nothing_happens(uploads, backfill, dead_letters, intake),
                "paused": bool(intake.paused_by),
                "price_usd": float(self._operations.parameters.get("PricePerCallUsd", PRICE_USD)),
                "bucket": outputs.bucket_name,
            }
        )

    async def _retry(self, request: Request) -> Response:
        return await run_in_threadpool(self._retried, await _body(request))

    def _retried(self, asked: Mapping[str, Any]) -> Response:
        match asked:
            case {"id": str(image), "force": bool(force)}:
                bucket, key = _address(image)
                return JSONResponse(asdict(self._operations.retry(bucket, key, force=force)), HTTPStatus.ACCEPTED)
        return _problem(HTTPStatus.BAD_REQUEST, 'It must be {"id": …, "force": true or false}.')

    def _stored(self, request: Request) -> Stored:
        bucket, key = _address(request.path_params["id"])
        if bucket != self._outputs.bucket_name:
            raise NotFoundError("That is in another bucket.", f"The gallery shows {self._outputs.bucket_name}.")
        asked = request.query_params
        size = asked.get("size", "")
        return Stored(
            bucket,
            key,
            version_id=asked.get("version", ""),
            etag=asked.get("etag", ""),
            size=int(size) if size.isascii() and size.isdigit() else 0,
        )


def _address(image: str) -> tuple[str, str]:
    bucket, _, key = image_of_id(image).removeprefix("s3://").partition("/")
    return bucket, key


async def _body(request: Request) -> dict[str, Any]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            return {}
    try:
        asked = json.loads(body)
    except ValueError:
        return {}
    return asked if isinstance(asked, dict) else {}


def _operation_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, OperationError)  # noqa: S101 - for it alone this handler is registered
    match error:
        case NotFoundError():
            status = HTTPStatus.NOT_FOUND
        case NoPreviewError():
            status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        case _:
            status = HTTPStatus.BAD_GATEWAY
    return _problem(status, error.problem, error.advice)


def _query_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, QueryError)  # noqa: S101 - for it alone this handler is registered
    return _problem(HTTPStatus.BAD_REQUEST, error.problem, error.advice)


def _problem(status: HTTPStatus, detail: str, advice: str = "Reload the page.") -> Response:
    body = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail, "advice": advice}
    return JSONResponse(body, status, media_type="application/problem+json")
