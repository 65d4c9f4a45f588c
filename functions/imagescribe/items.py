"""Conditional writes of DynamoDB in plain dictionaries.

They go through the low-level client: `boto3.resource` is slow to make and not made for threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from imagescribe.errors import ImageScribeError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize


class ConditionFailedError(ImageScribeError):
    """The condition of a write did not hold.

    Attributes
    ----------
    item
        The item as it is, empty where there is none.
    """

    def __init__(self, item: dict[str, Any]) -> None:
        super().__init__("the condition of a write did not hold")
        self.item = item


def update_if(
    client: DynamoDBClient,
    table: str,
    key: Mapping[str, Any],
    *,
    values: Mapping[str, Any],
    condition: str,
    operands: Mapping[str, Any],
    remove: tuple[str, ...] = (),
    add: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Set, remove and add to attributes of one item if a condition holds, and return the item as it is then.

    Parameters
    ----------
    condition
        An expression of the service with the names of the operands, such as ``"sequencer < :sequencer"``.

    Raises
    ------
    ConditionFailedError
        The condition does not hold; the error carries the item.
    """
    add = add or {}
    changes = "SET " + ", ".join(f"#{name} = :set_{name}" for name in values)
    if remove:
        changes += " REMOVE " + ", ".join(f"#{name}" for name in remove)
    if add:
        changes += " ADD " + ", ".join(f"#{name} :add_{name}" for name in add)
    sets = {f":set_{name}": value for name, value in values.items()}
    adds = {f":add_{name}": value for name, value in add.items()}
    try:
        answer = client.update_item(
            TableName=table,
            Key=_marshal(key),
            UpdateExpression=changes,
            ConditionExpression=condition,
            ExpressionAttributeNames={f"#{name}": name for name in (*values, *remove, *add)},
            ExpressionAttributeValues=_marshal({**sets, **adds, **operands}),
            ReturnValues="ALL_NEW",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    except ClientError as error:
        raise _failed_condition(error) from error
    return _unmarshal(answer["Attributes"])


def delete_if(
    client: DynamoDBClient, table: str, key: Mapping[str, Any], condition: str, operands: Mapping[str, Any]
) -> None:
    """Delete one item if a condition holds.

    Raises
    ------
    ConditionFailedError
        The condition does not hold, or there is no such item.
    """
    try:
        client.delete_item(
            TableName=table,
            Key=_marshal(key),
            ConditionExpression=condition,
            ExpressionAttributeValues=_marshal(operands),
        )
    except ClientError as error:
        raise _failed_condition(error) from error


def _failed_condition(error: ClientError) -> Exception:
    if error.response.get("Error", {}).get("Code") == "ConditionalCheckFailedException":
        return ConditionFailedError(_unmarshal(cast("dict[str, Any]", error.response.get("Item", {}))))
    return error


def _marshal(values: Mapping[str, Any]) -> dict[str, AttributeValueTypeDef]:
    return {
        name: _serialize(Decimal(repr(value)) if isinstance(value, float) else value) for name, value in values.items()
    }


def _unmarshal(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _deserialize(value) for name, value in item.items()}
