"""The services in memory answer as moto's do, in what the functions ask of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from imagescribe.stores.dynamodb import ConditionFailedError, delete_if, get, get_all, update_if
from tests.factories import unique
from tests.unit.conftest import make_table
from tests.unit.in_memory.dynamodb import InMemoryDynamoDB
from tests.unit.in_memory.s3 import InMemoryS3

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

NAMES = ("holder", "lease", "body")
CONDITIONS = (
    "attribute_not_exists(body)",
    "attribute_exists(body) AND attribute_exists(holder)",
    "attribute_not_exists(body) AND (attribute_not_exists(holder) OR holder = :a OR lease < :b)",
    "(attribute_exists(lease) OR holder <> :a) AND lease <= :b",
    "holder > :a OR lease >= :b AND attribute_not_exists(body)",
)
values = st.sampled_from([0, 1, 2, "", "a", "b", None])
requests = st.one_of(
    st.tuples(
        st.just("update"),
        st.sampled_from(CONDITIONS),
        values,
        values,
        st.dictionaries(st.sampled_from(NAMES), values, max_size=3),
        st.booleans(),
    ),
    st.tuples(st.just("delete"), st.sampled_from(CONDITIONS), values, values),
    st.tuples(st.just("count"), st.sampled_from([1, 2])),
    st.tuples(st.just("get")),
)


@settings(max_examples=40)
@given(st.lists(requests, max_size=6))
def test_conditional_writes_do_the_same(
    dynamodb_and_table: tuple[DynamoDBClient, str], several: list[tuple[Any, ...]]
) -> None:
    real, table = dynamodb_and_table
    ours: Any = InMemoryDynamoDB()
    key = {"content": unique("content")}
    for request in several:
        assert outcome(ours, table, key, request) == outcome(real, table, key, request)
        assert get(ours, table, key) == get(real, table, key)


@pytest.fixture(scope="module")
def dynamodb_and_table(dynamodb: DynamoDBClient) -> tuple[DynamoDBClient, str]:
    return dynamodb, make_table(dynamodb, "LedgerTable")


def outcome(client: Any, table: str, key: dict[str, str], request: tuple[Any, ...]) -> Any:
    try:
        match request:
            case "update", condition, a, b, changes, is_counted:
                update_if(
                    client,
                    table,
                    key,
                    values=changes or {"body": 1},
                    condition=condition,
                    operands=only_named(condition, a, b),
                    add={"claims": 1} if is_counted else None,
                    remove=() if "lease" in changes else ("lease",),
                )
                return get(client, table, key)
            case "delete", condition, a, b:
                return delete_if(client, table, key, condition, only_named(condition, a, b))
            case "count", number:
                update_if(client, table, key, values={"noted": number}, add={"calls_made": number})
                return get(client, table, key)
            case ("get",):
                return get_all(client, {table: [key, {"content": "there is none"}]})
    except TypeError:  # moto's: it compares a text with a number, of which the service says that neither is smaller
        reject()
    except ConditionFailedError as failed:
        return "the condition failed", failed.item
    except ClientError as error:
        return error.response["Error"]["Code"]


def only_named(condition: str, a: Any, b: Any) -> dict[str, Any]:
    return {name: value for name, value in ((":a", a), (":b", b)) if name in condition}


@pytest.mark.parametrize("is_versioned", [False, True], ids=["overwritten in place", "with versions"])
def test_objects_and_tags_are_the_same(s3: S3Client, bucket: str, versioned_bucket: str, is_versioned: bool) -> None:
    name = versioned_bucket if is_versioned else bucket
    assert story_of(InMemoryS3({name} if is_versioned else set()), name) == story_of(s3, name)


def story_of(client: Any, bucket: str) -> list[Any]:
    """What a client answers while an object is stored, tagged, overwritten and deleted; version ids become numbers."""
    address = {"Bucket": bucket, "Key": unique("a key+ with é")[:11]}
    versions: list[str] = []
    told: list[Any] = []

    def tell(request: Callable[[], dict[str, Any]]) -> None:
        try:
            answer = request()
        except ClientError as error:
            told.append(error.response["Error"]["Code"])
            return
        if (version := answer.get("VersionId")) and version not in versions:
            versions.append(version)
        told.append(
            {
                "etag": answer.get("ETag"),
                "version": versions.index(version) if version else None,
                "length": answer.get("ContentLength") if "Body" not in answer else None,
                "range": answer.get("ContentRange"),
                "body": answer["Body"].read() if "Body" in answer else None,
                "tags": answer.get("TagSet"),
            }
        )

    def look() -> None:
        tell(lambda: client.get_object(**address, Range="bytes=0-15"))
        tell(lambda: client.head_object(**address))
        tell(lambda: client.get_object_tagging(**address))
        for version in versions:
            tell(partial(client.get_object_tagging, **address, VersionId=version))

    look()
    for content in (b"the first content of it", b"", b"other"):
        tell(partial(client.put_object, **address, Body=content))
        look()
        tags = {"TagSet": [{"Key": "prompt", "Value": f"of {len(content)}"}]}
        client.put_object_tagging(**address, Tagging=tags)
        look()
    if versions:
        client.delete_object(**address, VersionId=versions.pop())
        look()
    client.delete_object(**address)
    look()
    return told
