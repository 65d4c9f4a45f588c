"""The catalog as people read it: by image, prefix, status and day, and never by a scan."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from imagescribe.model.record import Status
from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.catalog_view import CatalogView
from tests.unit.conftest import REGION, make_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BUCKET = "pictures"


def put(
    dynamodb: DynamoDBClient,
    table: str,
    key: str,
    status: Status,
    uploaded_at: str,
    *,
    bucket: str = BUCKET,
    **more: str,
) -> None:
    texts = {
        "image": f"s3://{bucket}/{key}",
        "bucket": bucket,
        "key": key,
        "status": str(status),
        "uploaded_at": uploaded_at,
        **more,
    }
    item: dict[str, Any] = {name: {"S": value} for name, value in texts.items()}
    dynamodb.put_item(TableName=table, Item={**item, "attempts": {"N": "2"}, "size": {"N": "1234"}})


@pytest.fixture(scope="module")
def connection(aws: boto3.Session) -> Connection:
    return Connection(region=REGION, access_key_id="testing", secret_access_key="testing")


@pytest.fixture(scope="module")
def view(connection: Connection, dynamodb: DynamoDBClient) -> CatalogView:
    table = make_table(dynamodb, "CatalogTable")
    put(dynamodb, table, "a/1.jpg", Status.DESCRIBED, "2026-11-22T23:59:59.999Z", prompt="one", tags="written")
    put(dynamodb, table, "a/2 +é.jpg", Status.DESCRIBED, "2026-11-23T00:00:00.000Z", prompt="two", tags="full")
    put(dynamodb, table, "b/3.jpg", Status.REJECTED, "2026-11-23T12:00:00.000Z", error="no")
    put(dynamodb, table, "b/4.jpg", Status.DESCRIBED, "2026-11-23T23:59:59.999Z", prompt="four", tags="denied")
    put(dynamodb, table, "b/5.jpg", Status.WAITING, "2026-11-24T00:00:00.000Z", error="later")
    put(dynamodb, table, "a/1.jpg", Status.DESCRIBED, "2026-11-23T10:00:00.000Z", bucket="another")
    return CatalogView(connection, table)


@pytest.fixture
def no_scan(view: CatalogView, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        pytest.fail("the table was scanned")

    monkeypatch.setattr(view._client, "scan", fail)


pytestmark = pytest.mark.usefixtures("no_scan")


def keys(view: CatalogView, **question: Any) -> list[str]:
    return [record.key for record in view.find(bucket=BUCKET, **question).records]


def test_one_image_is_read_with_all_that_is_known_of_it(view: CatalogView) -> None:
    record = view.get("s3://pictures/a/2 +é.jpg")
    assert record is not None
    assert (record.bucket, record.key, record.status) == ("pictures", "a/2 +é.jpg", "described")
    assert (record.prompt, record.tags, record.attempts, record.size) == ("two", "full", 2, 1234)
    assert record.described_at == ""


def test_an_image_that_is_not_known_is_none(view: CatalogView) -> None:
    assert view.get("s3://pictures/never") is None


def test_everything_is_listed_in_the_order_of_keys_and_of_this_bucket_only(view: CatalogView) -> None:
    assert keys(view) == ["a/1.jpg", "a/2 +é.jpg", "b/3.jpg", "b/4.jpg", "b/5.jpg"]


def test_a_prefix_is_one_of_the_key(view: CatalogView) -> None:
    assert keys(view, prefix="a/2 +") == ["a/2 +é.jpg"]
    assert keys(view, prefix="jpg") == []


def test_a_status_is_listed_newest_first(view: CatalogView) -> None:
    assert keys(view, status=Status.DESCRIBED) == ["b/4.jpg", "a/2 +é.jpg", "a/1.jpg"]
    assert keys(view, status=Status.DEAD) == []


def test_a_day_is_from_midnight_to_midnight_of_every_status(view: CatalogView) -> None:
    assert keys(view, day=date(2026, 11, 23)) == ["b/4.jpg", "b/3.jpg", "a/2 +é.jpg"]


def test_status_day_and_prefix_together(view: CatalogView) -> None:
    assert keys(view, status=Status.DESCRIBED, day=date(2026, 11, 23)) == ["b/4.jpg", "a/2 +é.jpg"]
    assert keys(view, status=Status.DESCRIBED, day=date(2026, 11, 23), prefix="a/") == ["a/2 +é.jpg"]


def test_a_limit_says_whether_there_is_more(view: CatalogView) -> None:
    first = view.find(bucket=BUCKET, limit=2)
    assert ([record.key for record in first.records], first.more) == (["a/1.jpg", "a/2 +é.jpg"], True)
    assert not view.find(bucket=BUCKET, limit=5).more
    assert not view.find(bucket=BUCKET).more


def test_statuses_are_counted(view: CatalogView) -> None:
    counted = view.count()
    # The other bucket's image is in the same table.
    assert counted.counts == {
        Status.DESCRIBING: 0,
        Status.WAITING: 1,
        Status.DESCRIBED: 4,
        Status.REJECTED: 1,
        Status.SKIPPED: 0,
        Status.DEAD: 0,
    }
    assert counted.complete


def test_more_images_than_one_batch_holds(connection: Connection, dynamodb: DynamoDBClient) -> None:
    table = make_table(dynamodb, "CatalogTable")
    names = [f"{number:03}.jpg" for number in range(105)]
    for name in names:
        put(dynamodb, table, name, Status.SKIPPED, "2026-11-23T00:00:00.000Z")
    many = CatalogView(connection, table)
    assert keys(many) == names
    assert len(keys(many, status=Status.SKIPPED)) == 105


def test_what_dynamodb_did_not_get_to_is_asked_for_again(view: CatalogView, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = view._client.batch_get_item
    asked: list[int] = []

    def one_at_a_time(**parameters: Any) -> dict[str, Any]:
        ((table, request),) = parameters["RequestItems"].items()
        asked.append(len(request["Keys"]))
        answer: dict[str, Any] = dict(ask(RequestItems={table: {"Keys": request["Keys"][:1]}}))
        rest = request["Keys"][1:]
        return answer | {"UnprocessedKeys": {table: {"Keys": rest}} if rest else {}}

    monkeypatch.setattr(view._client, "batch_get_item", one_at_a_time)
    monkeypatch.setattr("imagescribe.query.reader.time.sleep", lambda _: None)
    assert keys(view, prefix="b/") == ["b/3.jpg", "b/4.jpg", "b/5.jpg"]
    assert asked == [3, 2, 1]


def test_an_image_that_went_meanwhile_is_left_out(view: CatalogView) -> None:
    assert [record.key for record in view.get_many(["s3://pictures/gone", "s3://pictures/b/3.jpg"])] == ["b/3.jpg"]
