"""Pages of the catalog: whatever the question, page after page has each image once."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from imagescribe.model.record import Status
from imagescribe.model.tags import TagState
from imagescribe.query import cursors, pages
from imagescribe.query.errors import BusyError, QueryError
from tests.factories import Clock
from tests.unit.query.conftest import BUCKET, Library, make_library

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

SAME = "2026-11-02T09:15:00.000Z"


def fill(library: Library) -> None:
    """Images of three statuses, many of which were uploaded at the same time."""
    for number in range(12):
        upload = library.upload(f"{'ab'[number % 2]}/{number:02}.png", uploaded_at=SAME)
        match number % 3:
            case 0:
                labels = {"boat"} | ({"even"} if number % 2 == 0 else set())
                library.catalog.describe(upload, SAME, "a boat", TagState.WRITTEN, 0, labels=labels)
            case 1:
                library.catalog.give_up(upload, Status.SKIPPED, "empty", 0)
    library.upload("a/early.png", uploaded_at="2026-11-01T23:59:59.999Z")
    library.upload("a/late.png", uploaded_at="2026-11-03T00:00:00.000Z")


@pytest.fixture(scope="module")
def filled(dynamodb: DynamoDBClient, s3: S3Client, tmp_path_factory: pytest.TempPathFactory) -> Library:
    """What the tests share that only read."""
    library = make_library(dynamodb, s3, tmp_path_factory.mktemp("library"), Clock())
    fill(library)
    return library


def all_pages(library: Library, limit: int, **question: Any) -> list[str]:
    keys: list[str] = []
    after = ""
    for _ in range(50):
        page = library.pages.page(limit=limit, after=after, **question)
        keys += [record.key for record in page.records]
        after = page.after
        if not after:
            return keys
    raise AssertionError("pages without end")


QUESTIONS: list[dict[str, Any]] = [
    {},
    {"prefix": "a/"},
    {"status": Status.SKIPPED},
    {"status": Status.DESCRIBED, "prefix": "b/"},
    {"day": date(2026, 11, 2)},
    {"day": date(2026, 11, 2), "prefix": "a/"},
    {"day": date(2026, 11, 2), "status": Status.DESCRIBING},
    {"described_since_ms": 0},
    {"described_since_ms": 0, "prefix": "a/"},
    {"label": "boat"},
    {"label": "even", "prefix": "a/"},
    {"label": "boat", "status": Status.DESCRIBED},
    {"label": "boat", "day": date(2026, 11, 2), "prefix": "b/"},
    {"label": "boat", "described_since_ms": 0},
]


@pytest.mark.parametrize("question", QUESTIONS, ids=str)
def test_page_after_page_has_each_image_once(filled: Library, question: dict[str, Any]) -> None:
    if "described_since_ms" in question:
        question = question | {"described_since_ms": int(filled.clock() * 1000) - 86_400_000}
    whole = [record.key for record in filled.pages.page(**question).records]
    assert whole
    assert len(set(whole)) == len(whole)
    for limit in (1, 2, 5, 100):
        assert all_pages(filled, limit, **question) == whole, limit


def test_a_day_has_no_image_of_the_days_beside_it(filled: Library) -> None:
    keys = all_pages(filled, 5, day=date(2026, 11, 2))
    assert len(keys) == 12
    assert "a/early.png" not in keys
    assert "a/late.png" not in keys


def test_only_images_that_have_a_label_are_listed_by_it(library: Library) -> None:
    fill(library)
    assert len(all_pages(library, 2, label="boat")) == 4
    assert all_pages(library, 2, label="even") == ["a/00.png", "a/06.png"]
    assert all_pages(library, 2, label="eve") == []
    assert all_pages(library, 2, label="boat", status=Status.SKIPPED) == []


def test_a_rare_label_is_looked_for_no_further_than_a_request_may_look(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MAX_EXAMINED", 3)
    monkeypatch.setattr(pages, "BATCH_GET_LIMIT", 3)
    fill(library)
    first = library.pages.page(label="none", limit=10)
    assert first.records == []
    assert first.more
    assert [record.key for record in library.pages.page(label="boat", limit=0).records] == all_pages(
        library, 10, label="boat"
    )


def test_no_request_looks_through_more_than_it_may(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MAX_EXAMINED", 3)
    fill(library)
    first = library.pages.page(status=Status.SKIPPED, prefix="nothing/", limit=10)
    assert first.records == []
    assert first.after
    assert all_pages(library, 10, prefix="b/", day=date(2026, 11, 2)) == [
        record.key for record in library.pages.page(prefix="b/", day=date(2026, 11, 2)).records
    ]


def test_descriptions_since_a_time_go_without_a_status_and_a_day(library: Library) -> None:
    with pytest.raises(QueryError, match="without a status"):
        library.pages.page(described_since_ms=0, status=Status.DEAD)


@pytest.mark.parametrize(
    ("question", "position"),
    [
        ({}, ("",)),
        ({"prefix": "a/"}, ("b/1",)),
        ({}, ("x" * 1_025,)),
        ({}, (1,)),
        ({}, (SAME, "described", f"s3://{BUCKET}/a")),
        ({"status": Status.SKIPPED}, (SAME, "described", f"s3://{BUCKET}/a")),
        ({"status": Status.SKIPPED}, (SAME, "skipped", "s3://another/a")),
        ({"status": Status.SKIPPED}, ("", "skipped", f"s3://{BUCKET}/a")),
        ({"status": Status.SKIPPED}, ("~Z", "skipped", f"s3://{BUCKET}/a")),
        ({"status": Status.SKIPPED}, (SAME, "skipped", f"s3://{BUCKET}/" + "x" * 3_000)),
        ({"day": date(2026, 11, 2)}, ("2026-11-03T00:00:00Z", "skipped", f"s3://{BUCKET}/a")),
        ({"day": date(2026, 11, 2)}, ("2026-11-02", "skipped", f"s3://{BUCKET}/a")),
        ({"described_since_ms": 0}, ("2026-13-45T00:00:00.000Z", f"s3://{BUCKET}/a")),
        ({"described_since_ms": 0}, ("1960-01-01T00:00:00.000Z", f"s3://{BUCKET}/a")),
    ],
)
def test_a_cursor_of_another_question_is_refused(
    library: Library, question: dict[str, Any], position: tuple[str | int, ...]
) -> None:
    with pytest.raises(QueryError, match="cursor"):
        library.pages.page(after=cursors.encode(position), limit=5, **question)


def test_what_was_described_since_ever_is_no_question_for_each_day_since_1970(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(library)
    paginate, days = library.dynamodb.get_paginator, 0

    def counted(name: Any) -> Any:
        nonlocal days
        days += 1
        return paginate(name)

    monkeypatch.setattr(library.dynamodb, "get_paginator", counted)
    assert len(library.pages.page(described_since_ms=0, limit=5).records) == 4
    assert days < 100


def test_an_image_that_was_removed_is_still_a_place_to_go_on_from(library: Library) -> None:
    fill(library)
    page = library.pages.page(day=date(2026, 11, 2), limit=5)
    for record in page.records:
        library.take_out(record.image)
    rest = [record.key for record in library.pages.page(day=date(2026, 11, 2), after=page.after).records]
    assert len(rest) == 7
    assert not {record.key for record in page.records} & set(rest)


def test_a_table_that_leaves_keys_unread_is_asked_again_and_then_said_to_be_busy(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(library)
    monkeypatch.setattr("imagescribe.query.reader.time.sleep", lambda _: None)
    answer, rounds = library.dynamodb.batch_get_item, 0

    def throttled(**asked: Any) -> Any:
        nonlocal rounds
        rounds += 1
        if rounds < 3:
            return {"Responses": {}, "UnprocessedKeys": asked["RequestItems"]}
        return answer(**asked)

    monkeypatch.setattr(library.dynamodb, "batch_get_item", throttled)
    assert len(library.pages.page().records) == 14
    rounds = -100
    with pytest.raises(BusyError):
        library.pages.page()


def test_many_records_are_read_by_the_hundred(library: Library) -> None:
    for number in range(120):
        library.upload(f"{number:03}.png")
    keys = [record.key for record in library.pages.page().records]
    assert keys == [f"{number:03}.png" for number in range(120)]


def test_counting_ends_somewhere_and_says_so(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(library)
    counts = library.reader.count()
    assert (counts.counts[Status.DESCRIBED], counts.counts[Status.SKIPPED], counts.complete) == (4, 4, True)
    monkeypatch.setattr("imagescribe.query.reader.COUNT_PAGES", 1)
    paginate = library.dynamodb.get_paginator

    def short(name: Any) -> Any:
        paginator = paginate(name)
        whole = paginator.paginate
        monkeypatch.setattr(paginator, "paginate", lambda **asked: whole(PaginationConfig={"PageSize": 2}, **asked))
        return paginator

    monkeypatch.setattr(library.dynamodb, "get_paginator", short)
    counts = library.reader.count()
    assert (counts.counts[Status.DESCRIBED], counts.complete) == (2, False)
