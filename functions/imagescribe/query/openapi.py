"""The routes, in one table, and the OpenAPI document that is made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from imagescribe.query.parameters import ListParameters, Nothing, PictureParameters, SearchParameters, schema
from imagescribe.query.records import ImageRecord

API_VERSION: Final = "1.0"
"""Of the routes and of what they answer, not of the stack."""

_ID: Final = {
    "name": "image",
    "in": "path",
    "required": True,
    "description": "The image's `id`: s3://BUCKET/KEY in URL-safe Base64 without padding.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "maxLength": 2048},
}


@dataclass(frozen=True, slots=True)
class Route:
    """A route: GET, all of them.

    Attributes
    ----------
    operation
        The method of `Api` that answers, and the operation's id.
    answer
        The schema of what it answers with.
    """

    path: str
    operation: str
    summary: str
    parameters: type[Any]
    answer: dict[str, Any]
    has_image: bool = False

    @property
    def rule(self) -> str:
        """The path as Powertools writes it."""
        return self.path.replace("{", "<").replace("}", ">")


def _of(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


ROUTES: Final = (
    Route("/search", "search_images", "Find images by the words of their prompts", SearchParameters, _of("Hits")),
    Route("/images", "list_images", "List images", ListParameters, _of("Page")),
    Route("/images/{image}", "get_image", "One image's record", Nothing, _of("Image"), has_image=True),
    Route(
        "/images/{image}/picture",
        "get_picture",
        "The picture itself, or a thumbnail of it",
        PictureParameters,
        _of("Picture"),
        has_image=True,
    ),
    Route("/stats", "get_stats", "How many images there are, and how complete the search is", Nothing, _of("Stats")),
    Route("/openapi.json", "get_openapi", "This document", Nothing, {"type": "object"}),
)


def document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ImageScribe",
            "version": API_VERSION,
            "description": "Images and their prompts. Every request is signed (AWS SigV4, service `lambda`), or "
            "carries a JWT where the stack has an issuer for them.",
        },
        "paths": {route.path: {"get": _operation(route)} for route in ROUTES},
        "components": {"schemas": _schemas()},
    }


def _operation(route: Route) -> dict[str, Any]:
    described = schema(route.parameters)
    required = described.get("required", [])
    parameters = [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            **({"description": part["description"]} if "description" in part else {}),
            "schema": {key: value for key, value in part.items() if key != "description"},
        }
        for name, part in described["properties"].items()
    ]
    answers: dict[str, Any] = {
        "200": _answer("What was asked for.", "application/json", route.answer),
        "400": _answer("A parameter is wrong.", "application/problem+json", _of("Problem")),
        "503": _answer(
            "The catalog, or what makes thumbnails, is too busy.", "application/problem+json", _of("Problem")
        ),
    }
    if route.has_image:
        answers["404"] = _answer(
            "There is no such image, or no thumbnail of it.", "application/problem+json", _of("Problem")
        )
    if route.operation == "get_picture":
        location = {"description": "Where the picture is, for some minutes.", "schema": {"type": "string"}}
        redirect = _answer("A redirect to the picture.", "application/json", {"type": "object"})
        answers["302"] = redirect | {"headers": {"Location": location}}
    return {
        "operationId": route.operation,
        "summary": route.summary,
        "parameters": [_ID, *parameters] if route.has_image else parameters,
        "responses": answers,
    }


def _answer(description: str, content_type: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {content_type: {"schema": content}}}


def _schemas() -> dict[str, Any]:
    image = schema(ImageRecord)
    image["properties"] = {"id": {"type": "string"}, **image["properties"]}
    image["required"] = ["id", *image["required"]]
    cursor = {"type": ["string", "null"], "description": "Give it as `after` for the next page; null on the last."}
    place = {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}
    matches = {
        "type": "array",
        "items": place,
        "description": "Where the words stand in the prompt: first code point, and the one after the last.",
    }
    hit = {"allOf": [_of("Image"), _object(matches=matches)]}
    return {
        "Image": image,
        "Page": _object(images={"type": "array", "items": _of("Image")}, after=cursor),
        "Hits": _object(images={"type": "array", "items": hit}, after=cursor),
        "Picture": _object(url={"type": "string"}, expires_in_seconds={"type": "integer"}),
        "Stats": _object(
            images={"type": "object", "additionalProperties": {"type": "integer"}},
            images_complete={"type": "boolean", "description": "Whether counting came to its end; else: at least."},
            search=_object(
                snapshot={"type": "integer", "description": "Images in the snapshot of the index."},
                fresh={"type": "integer", "description": "Images that were described since."},
                complete_until={"type": "string"},
                is_complete={"type": "boolean", "description": "False until the first snapshot was made."},
            ),
        ),
        "Problem": _object(
            type={"type": "string"},
            title={"type": "string"},
            status={"type": "integer"},
            detail={"type": "string"},
            advice={"type": "string"},
        ),
    }


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}
