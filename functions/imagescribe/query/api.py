"""The API: what each route answers. It reads, and never writes.

An image is named by its ``id`` in an address (see `image_id`). Errors are problem+json (RFC 9457) with ``advice``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from aws_lambda_powertools.event_handler import LambdaFunctionUrlResolver, Response

from imagescribe.log import logger
from imagescribe.query import cursors, page
from imagescribe.query.errors import BusyError, NotFoundError, QueryError
from imagescribe.query.grammar import parse
from imagescribe.query.index import MAX_RANKED, Range
from imagescribe.query.openapi import ROUTES, Route, document
from imagescribe.query.parameters import (
    ListParameters,
    Nothing,
    PictureParameters,
    PictureSize,
    SearchParameters,
    moment,
    read,
)
from imagescribe.query.records import Entry, ImageRecord, image_id, image_of_id
from imagescribe.query.sign_in import SignIn

if TYPE_CHECKING:
    from imagescribe.query.pages import Pages
    from imagescribe.query.pictures import Pictures
    from imagescribe.query.reader import CatalogReader
    from imagescribe.query.search import Search

MAX_BODY_BYTES: Final = 5_500_000
"""Lambda takes no answer over 6 MB: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

_PRIVATE: Final = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True, slots=True)
class Api:
    """The routes, over what they read from."""

    search: Search
    pages: Pages
    catalog: CatalogReader
    pictures: Pictures
    sign_in: SignIn = field(default_factory=lambda: SignIn("", "", ""))

    def resolver(self) -> LambdaFunctionUrlResolver:
        """Return what takes the events of a Function URL, and of an HTTP API."""
        app = LambdaFunctionUrlResolver()
        for route in ROUTES:
            answer: Callable[..., Response[str]] = getattr(self, route.operation)
            app.get(route.rule)(_answering(app, route, answer))
        app.get("/gallery")(_to_the_page)
        app.get("/gallery/<name>")(self._gallery)
        app.not_found(_no_such_route)
        return app

    def search_images(self, asked: SearchParameters) -> Response[str]:
        """Find images by the words of their prompts."""
        query = parse(asked.q)
        since, until = moment(asked.since, "since"), moment(asked.until, "until")
        wanted = Range(
            since=since or 0,
            until=2**62 if until is None else until,
            before=None if asked.best or not asked.after else _entry(asked.after),
            prefix=f"s3://{self.pages.bucket}/{asked.prefix}",
        )
        label = asked.label.lower()
        if asked.best:
            found = self.search.best(query, wanted, asked.limit, _skip(asked.after), label)
        else:
            found = self.search.newest(query, wanted, asked.limit, label)
        images = [_image(hit.record) | {"matches": hit.matches} for hit in found.hits]
        return _json({"images": images, "after": found.after or None})

    def list_images(self, asked: ListParameters) -> Response[str]:
        """List images."""
        page = self.pages.page(
            prefix=asked.prefix,
            status=asked.status,
            day=asked.day,
            described_since_ms=moment(asked.described_since, "described_since"),
            label=asked.label.lower(),
            after=asked.after,
            limit=asked.limit,
        )
        return _json({"images": [_image(record) for record in page.records], "after": page.after or None})

    def get_image(self, _asked: Nothing, image: str) -> Response[str]:
        """Return one image's record."""
        return _json(_image(self._record(image)))

    def get_picture(self, asked: PictureParameters, image: str) -> Response[str]:
        """Lead to the picture itself, or to its thumbnail."""
        record = self._record(image)
        is_small = asked.size is PictureSize.THUMBNAIL
        url, seconds = self.pictures.thumbnail_url(record) if is_small else self.pictures.url(record)
        if asked.redirect:
            return Response(HTTPStatus.FOUND, "application/json", "{}", headers={**_PRIVATE, "Location": url})
        return _json({"url": url, "expires_in_seconds": seconds})

    def get_stats(self, _asked: Nothing) -> Response[str]:
        """Count."""
        counts = self.catalog.count()
        return _json(
            {
                "images": {str(status): count for status, count in counts.counts.items()},
                "images_complete": counts.complete,
                "search": asdict(self.search.coverage()),
            }
        )

    def get_openapi(self, _asked: Nothing) -> Response[str]:
        """Describe the API."""
        return _json(document())

    def _gallery(self, name: str) -> Response[str]:
        """Answer with a file of the gallery's page, which holds nothing that is anybody's."""
        if name == page.SIGN_IN:
            return _json(self.sign_in.document())
        if name not in page.FILES:
            return _no_such_route(KeyError(name))
        issuers = self.sign_in.origins if name == page.INDEX else []
        headers = page.security(self.pictures.sources(self.pages.bucket), issuers) | {"Cache-Control": "no-cache"}
        return Response(HTTPStatus.OK, page.FILES[name], page.content(name), headers=headers)

    def _record(self, image: str) -> ImageRecord:
        address = image_of_id(image)
        record = self.catalog.get(address) if address.startswith(f"s3://{self.pages.bucket}/") else None
        if record is None:
            raise NotFoundError(f"There is no record of {address}.", "GET /images lists those that there are.")
        return record


def _answering(
    app: LambdaFunctionUrlResolver, route: Route, answer: Callable[..., Response[str]]
) -> Callable[..., Response[str]]:
    def handle(**path: str) -> Response[str]:
        try:
            asked = read(route.parameters, app.current_event.get("rawQueryString") or "")
            return answer(asked, **path)
        except NotFoundError as error:
            return _problem(HTTPStatus.NOT_FOUND, error)
        except BusyError as error:
            return _problem(HTTPStatus.SERVICE_UNAVAILABLE, error)
        except QueryError as error:
            return _problem(HTTPStatus.BAD_REQUEST, error)
        except Exception:
            # The caller learns that it is not their fault, and the log what it was.
            logger.exception("a request failed", extra={"operation": route.operation})
            return _problem(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                QueryError("The query function failed.", "Try again; its log says why."),
            )

    return handle


def _to_the_page() -> Response[str]:
    place = f"gallery/{page.INDEX}"  # relative: an HTTP API may stand under a path
    return Response(HTTPStatus.FOUND, "text/plain", place, headers={"Location": place})


def _no_such_route(_error: Exception) -> Response[str]:
    known = ", ".join(f"GET {route.path}" for route in ROUTES)
    return _problem(HTTPStatus.NOT_FOUND, QueryError("There is no such route.", f"There are {known}."))


def _problem(status: HTTPStatus, error: QueryError) -> Response[str]:
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status,
        "detail": error.problem,
        "advice": error.advice,
    }
    return Response(status, "application/problem+json", json.dumps(body), headers=_PRIVATE)


def _json(value: object) -> Response[str]:
    body = json.dumps(value)
    if len(body) > MAX_BODY_BYTES:
        raise QueryError("The answer would be too large.", "Ask for fewer with limit.")
    return Response(HTTPStatus.OK, "application/json", body, headers=_PRIVATE)


def _image(record: ImageRecord) -> dict[str, Any]:
    return {"id": image_id(record.image), **asdict(record)}


def _entry(cursor: str) -> Entry:
    at, image = cursors.decode(cursor, int, str)
    return Entry(int(at), str(image))


def _skip(cursor: str) -> int:
    if not cursor:
        return 0
    (skip,) = cursors.decode(cursor, int)
    return min(max(0, int(skip)), MAX_RANKED)
