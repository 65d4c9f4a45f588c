"""What another stack has paid for, taken into this one's ledger.

Answers only: neither claims, which hold for messages of the other stack, nor its throttle.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from imagescribe_ops.aws.errors import readable_errors
from imagescribe_ops.errors import NotFoundError, OperationError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SIDE_BY_SIDE: Final = 16
_KEY: Final = {"AttributeName": "content", "KeyType": "HASH"}
_ADVICE: Final = "Give the ledger's table of a stack that is gone; `imagescribe destroy` has named it."


@dataclass(slots=True)
class Adopted:
    """How far an adoption is.

    Attributes
    ----------
    answers
        Read in the other ledger.
    adopted
        Of these, the ones that this ledger had none for.
    """

    answers: int = 0
    adopted: int = 0


def adopt(client: DynamoDBClient, other: str, ledger: str, progress: Callable[[Adopted], None]) -> Adopted:
    """Copy the answers of another ledger. What this one knows of a content stays as it is, so it can be run again.

    Raises
    ------
    OperationError
        The other table is no ledger, or is this one; or a table can't be used.
    """
    adopted = Adopted()
    with readable_errors(), ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        _check(client, other, ledger)
        pages = client.get_paginator("scan").paginate(TableName=other, FilterExpression="attribute_exists(body)")
        for page in pages:
            adopted.adopted += sum(pool.map(lambda item: _put(client, ledger, item), page["Items"]))
            adopted.answers += len(page["Items"])
            progress(adopted)
    return adopted


def _check(client: DynamoDBClient, other: str, ledger: str) -> None:
    try:
        schema = client.describe_table(TableName=other)["Table"].get("KeySchema", [])
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "ResourceNotFoundException":
            raise
        raise NotFoundError(f"There is no table {other}.", _ADVICE) from error
    if other == ledger or schema != [_KEY]:
        raise OperationError(f"{other} is {"this stack's own" if other == ledger else 'no'} ledger.", _ADVICE)


def _put(client: DynamoDBClient, ledger: str, item: Any) -> bool:
    try:
        client.put_item(TableName=ledger, Item=item, ConditionExpression="attribute_not_exists(content)")
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "ConditionalCheckFailedException":
            raise
        return False
    return True
