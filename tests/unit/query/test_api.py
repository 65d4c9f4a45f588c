"""The API: what it answers, that errors say what to do, and that what it says of itself is true."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagescribe.errors import ImageScribeError
from imagescribe.query import api as apis
from imagescribe.query import page
from imagescribe.query.api import Api
from imagescribe.query.cursors import to_text
from imagescribe.query.errors import BusyError
from imagescribe.query.openapi import ROUTES, document
from imagescribe.query.records import ImageRecord, image_id
from imagescribe.query.sign_in import SignIn
from tests.factories import ROOT, make_picture, stand_in
from tests.unit.conftest import REGION
from tests.unit.imaging_in_process import DERIVED_BUCKET
from tests.unit.query.conftest import BUCKET, Library, make_pictures
from tests.unit.query.function_url import body, event

type Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def api(library: Library) -> Api:
    return Api(library.search(), library.pages, library.reader, make_pictures(library.s3)[0])


@pytest.fixture
def ask(api: Api) -> Ask:
    app = api.resolver()

    def asked(path: str, query: str | dict[str, Any] = "", method: str = "GET") -> dict[str, Any]:
        text = query if isinstance(query, str) else urlencode(query, quote_via=quote)
        return app.resolve(event(path, text, method), stand_in(None))

    return asked


def problem(answer: dict[str, Any], status: int) -> dict[str, Any]:
    """The problem that an answer tells of."""
    assert answer["statusCode"] == status
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    told: dict[str, Any] = body(answer)
    assert told["status"] == status
    assert told["detail"]
    assert told["advice"]
    return told


def test_a_list_by_label_has_the_images_that_have_it_with_all_their_labels(library: Library, ask: Ask) -> None:
    library.describe("boat.png", "a boat", "sea", "boat")
    library.describe("cat.png", "a cat")
    (image,) = body(ask("/images", {"label": "Boat"}))["images"]
    assert image["key"] == "boat.png"
    assert image["labels"] == ["boat", "sea"]
    assert body(ask("/images", {"label": "dog"}))["images"] == []
    assert "label" in problem(ask("/images", {"label": "x" * 65}), 400)["detail"]


def test_a_search_by_label_has_the_matches_that_have_it(library: Library, ask: Ask) -> None:
    library.describe("boat.png", "a red boat", "sea", "boat")
    library.describe("toy.png", "a red toy boat", "toy")
    library.describe("sea.png", "the red sea", "sea")
    for best in ("false", "true"):
        answer = body(ask("/search", {"q": "boat", "label": "Sea", "best": best}))
        assert ([image["key"] for image in answer["images"]], answer["after"]) == (["boat.png"], None)
    assert body(ask("/search", {"q": "boat", "label": "dog"}))["images"] == []
    assert "label" in problem(ask("/search", {"q": "boat", "label": "x" * 65}), 400)["detail"]


def test_a_search_answers_with_records_and_where_the_words_stand(library: Library, ask: Ask) -> None:
    library.describe("a b+é?#%.png", "A red boat")
    answer = ask("/search", {"q": "boats"})
    assert answer["statusCode"] == 200
    (image,) = body(answer)["images"]
    assert image["image"] == f"s3://{BUCKET}/a b+é?#%.png"
    assert image["matches"] == [[6, 10]]
    assert set(image) == {"id", "matches", *(field.name for field in fields(ImageRecord))}
    assert body(answer)["after"] is None
    assert answer["headers"]["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize("path", ["/search?q=boat", "/search?q=boat&best=true", "/images?", "/images?day=2026-11-02"])
def test_pages_go_on_by_their_cursor(library: Library, ask: Ask, path: str) -> None:
    for number in range(5):
        library.describe(f"{number}.png", "a boat")
    route, _, query = path.partition("?")
    found: list[str] = []
    after = ""
    for _ in range(10):
        page = body(ask(route, f"{query}&limit=2{after and f'&after={after}'}"))
        found += [image["key"] for image in page["images"]]
        after = page["after"]
        if not after:
            break
    assert sorted(found) == [f"{number}.png" for number in range(5)]


def test_one_image_and_its_picture_are_found_by_id(library: Library, ask: Ask) -> None:
    library.describe("a/b?c #.png", "a boat")
    (listed,) = body(ask("/images"))["images"]
    assert body(ask(f"/images/{listed['id']}")) == listed
    answer = ask(f"/images/{listed['id']}/picture")
    assert answer["statusCode"] == 302
    url = urlsplit(answer["headers"]["Location"])
    assert url.path.endswith("/a/b%3Fc%20%23.png")
    assert parse_qs(url.query)["X-Amz-Expires"] == ["300"]
    told = body(ask(f"/images/{listed['id']}/picture", {"redirect": "false"}))
    assert told["expires_in_seconds"] == 300
    assert urlsplit(told["url"]).path == url.path


def test_a_thumbnail_is_led_to_and_where_there_is_none_the_answer_says_why(library: Library, ask: Ask) -> None:
    content = make_picture("tan", (640, 480), "TIFF")
    library.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    etag = library.s3.put_object(Bucket=BUCKET, Key="1.tiff", Body=content)["ETag"].strip('"')
    library.upload("1.tiff", etag=etag, size=len(content))
    path = f"/images/{image_id(f's3://{BUCKET}/1.tiff')}/picture"
    answer = ask(path, "size=thumbnail")
    assert answer["statusCode"] == 302
    assert f"thumbnails/{etag}-{len(content)}" in answer["headers"]["Location"]
    assert body(ask(path, "size=thumbnail&redirect=false"))["url"].startswith("https://")
    library.upload("notes.txt")
    told = problem(ask(f"/images/{image_id(f's3://{BUCKET}/notes.txt')}/picture", "size=thumbnail"), 404)
    assert "no thumbnail" in told["detail"]


def test_the_picture_of_a_version_is_that_versions(library: Library, api: Api) -> None:
    library.describe("1.png", "a boat")
    record = library.reader.get(f"s3://{BUCKET}/1.png")
    assert record
    assert "versionId" not in api.pictures.url(record)[0]
    versioned = ImageRecord.of_item({"bucket": {"S": BUCKET}, "key": {"S": "1.png"}, "version_id": {"S": "v7"}})
    assert "versionId=v7" in api.pictures.url(versioned)[0]


def test_stats_count_and_say_what_is_searched(library: Library, ask: Ask) -> None:
    library.describe("1.png", "a boat")
    library.job.run()
    told = body(ask("/stats"))
    assert told["images"]["described"] == 1
    assert told["images_complete"] is True
    assert told["search"]["is_complete"] is True
    assert told["search"]["snapshot"] == 1


@pytest.mark.parametrize("name", page.FILES)
def test_the_galleries_page_is_there_for_everyone_and_may_load_pictures_of_the_two_buckets_alone(
    ask: Ask, name: str
) -> None:
    answer = ask(f"/gallery/{name}")
    assert (answer["statusCode"], answer["headers"]["Content-Type"]) == (200, page.FILES[name])
    assert answer["body"] == page.content(name)
    policy = answer["headers"]["Content-Security-Policy"]
    sources = policy.partition("img-src ")[2].partition(";")[0].split()
    assert sources == ["'self'", f"https://{BUCKET}.s3.{REGION}.amazonaws.com/", *sources[2:]]
    assert [DERIVED_BUCKET in each for each in sources[2:]] == [True]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


def test_the_page_may_ask_the_issuer_for_tokens_where_it_is_its_client(api: Api) -> None:
    def asked(api: Api, name: str) -> dict[str, Any]:
        return api.resolver().resolve(event(f"/gallery/{name}"), stand_in(None))

    says = {
        "issuer": "https://issuer.example",
        "authorization_endpoint": "https://issuer.example/authorize",
        "token_endpoint": "https://issuer.example/token",
    }
    sign_in = SignIn("https://issuer.example", "gallery", "gallery", lambda _url: json.dumps(says).encode())
    client = replace(api, sign_in=sign_in)
    assert body(asked(api, "sign_in.json")) == {}
    assert body(asked(client, "sign_in.json"))["token_endpoint"] == says["token_endpoint"]
    policy = asked(client, "index.html")["headers"]["Content-Security-Policy"]
    assert "connect-src 'self' https://issuer.example; " in policy
    assert "connect-src 'self'; " in asked(api, "index.html")["headers"]["Content-Security-Policy"]


def test_the_page_is_found_without_the_name_of_its_file_and_no_other_file_is(ask: Ask) -> None:
    answer = ask("/gallery")
    assert (answer["statusCode"], answer["headers"]["Location"]) == (302, "gallery/index.html")
    for name in ("api.py", "..%2Fsettings.py", "../settings.py", "INDEX.html"):
        problem(ask(f"/gallery/{name}"), 404)


def test_every_file_of_the_page_is_served() -> None:
    there = {each.name for each in (ROOT / "functions" / "imagescribe" / "page").iterdir()}
    assert there == set(page.FILES)


@pytest.mark.parametrize(
    ("path", "query", "says"),
    [
        ("/search", "", "q"),
        ("/search", "q=", "q"),
        ("/search", "q=-boat", "leave out"),
        ("/search", "q=a&q=b", "twice"),
        ("/search", "q=a&limit=0", "limit"),
        ("/search", "q=a&limit=101", "limit"),
        ("/search", "q=a&limit=ten", "limit"),
        ("/search", "q=a&best=perhaps", "best"),
        ("/search", "q=a&since=yesterday", "since"),
        ("/search", "q=a&colour=red", "colour"),
        ("/search", "q=a&after=nonsense", "cursor"),
        ("/search", "q=a&best=true&after=nonsense", "cursor"),
        ("/images", "status=lost", "status"),
        ("/images", "day=2026-02-30", "day"),
        ("/images", "after=nonsense", "cursor"),
        ("/images", "described_since=0&status=dead", "described_since"),
        ("/images", "described_since=9999-12-31T23:59:59-12:00", "described_since"),
        ("/images", f"after={to_text(json.dumps(['\ud800']))}", "cursor"),
        ("/images/nonsense", "", "id"),
        ("/images/nonsense/picture", "redirect=2", "redirect"),
        ("/images/nonsense/picture", "size=huge", "size"),
        ("/stats", "x=1", "x"),
    ],
)
def test_a_wrong_parameter_is_named_and_the_answer_says_what_to_do(ask: Ask, path: str, query: str, says: str) -> None:
    assert says in problem(ask(path, query), 400)["detail"]


def test_the_last_day_that_there_is_can_be_asked_for(library: Library, ask: Ask) -> None:
    library.upload("late.png", uploaded_at="9999-12-31T23:59:59.999Z")
    (image,) = body(ask("/images", {"day": "9999-12-31"}))["images"]
    assert image["key"] == "late.png"


def test_what_is_not_there_is_not_found(ask: Ask) -> None:
    assert "no record" in problem(ask(f"/images/{image_id(f's3://{BUCKET}/none.png')}"), 404)["detail"]
    assert "no record" in problem(ask(f"/images/{image_id('s3://another/none.png')}/picture"), 404)["detail"]
    told = problem(ask("/nothing"), 404)
    assert "GET /search" in told["advice"]
    problem(ask("/search", "q=a", "POST"), 404)


def test_a_busy_table_and_a_failure_of_ours_are_no_fault_of_the_callers(
    library: Library, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, status in ((BusyError("busy", "wait"), 503), (ImageScribeError("secret detail"), 500)):

        def fails(*_: Any, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(apis, "parse", fails)
        told = problem(api.resolver().resolve(event("/search", "q=a"), stand_in(None)), status)
        assert "secret" not in json.dumps(told)


def test_an_answer_that_lambda_would_not_take_is_refused_with_what_to_do(
    library: Library, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.describe("1.png", "a boat " * 100)
    monkeypatch.setattr(apis, "MAX_BODY_BYTES", 500)
    assert "limit" in problem(ask("/images"), 400)["advice"]


def test_the_openapi_document_has_every_route_and_no_reference_to_nothing(ask: Ask) -> None:
    told = body(ask("/openapi.json"))
    assert told == json.loads(json.dumps(document()))
    assert set(told["paths"]) == {route.path for route in ROUTES}
    text = json.dumps(told)
    for name in told["components"]["schemas"]:
        text = text.replace(f"#/components/schemas/{name}", "")
    assert '$ref": "#' not in text
    assert "$defs" not in text


NAMES = st.sampled_from(
    ["q", "best", "prefix", "since", "until", "limit", "after", "status", "day", "described_since", "x", "redirect"]
)
VALUES = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["1", "true", "2026-11-26", "0001-01-01", "9999-12-31", "9" * 400, "-1", "1e9", "\0"]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["/search", "/images", "/stats", "/openapi.json", f"/images/{image_id('s3://pictures/1.png')}"]),
    st.dictionaries(NAMES, VALUES, max_size=4),
)
def test_nothing_that_is_asked_is_a_failure_of_ours(ask: Ask, path: str, query: dict[str, str]) -> None:
    text = urlencode(query, quote_via=quote, errors="surrogatepass")
    answer = ask(path, text)
    assert answer["statusCode"] in (200, 400, 404), (text, answer)
