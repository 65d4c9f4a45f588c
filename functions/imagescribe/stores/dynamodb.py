"""Conditional writes of DynamoDB in plain dictionaries.

They go through the low-level client: `boto3.resource` is slow to make and not made for threads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, cast

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from imagescribe.errors import ImageScribeError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize


MAX_BATCH_GETS: Final = 3


class UnprocessedKeysError(ImageScribeError):
    """A batch of reads came back incomplete: the table is throttled."""


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
    condition: str = "",
    operands: Mapping[str, Any] = MappingProxyType({}),
    remove: tuple[str, ...] = (),
    add: Mapping[str, int] | None = None,
) -> None:
    """Set, remove and add to attributes of one item if a condition holds.

    Parameters
    ----------
    condition
        An expression of the service with the names of the operands, such as ``"sequencer < :sequencer"``; none if
        empty.

    Raises
    ------
    ConditionFailedError
        The condition does not hold; the error carries the item.
    """
    add = add or {}
    clauses = []
    if values:
        clauses.append("SET " + ", ".join(f"#{name} = :set_{name}" for name in values))
    if remove:
        clauses.append("REMOVE " + ", ".join(f"#{name}" for name in remove))
    if add:
        clauses.append("ADD " + ", ".join(f"#{name} :add_{name}" for name in add))
    operands = {
        **{f":set_{name}": value for name, value in values.items()},
        **{f":add_{name}": value for name, value in add.items()},
        **operands,
    }
    optional: dict[str, Any] = {"ConditionExpression": condition} if condition else {}
    if operands:
        optional["ExpressionAttributeValues"] = _marshal(operands)
    try:
        client.update_item(
            TableName=table,
            Key=_marshal(key),
            UpdateExpression=" ".join(clauses),
            ExpressionAttributeNames={f"#{name}": name for name in (*values, *remove, *add)},
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
            **optional,
        )
    except ClientError as error:
        raise _failed_condition(error) from error


def get(client: DynamoDBClient, table: str, key: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return an item as it is at this moment, or None where there is none."""
    answer = client.get_item(TableName=table, Key=_marshal(key), ConsistentRead=True)
    return _unmarshal(answer["Item"]) if "Item" in answer else None


def get_all(client: DynamoDBClient, keys: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Return the items of several tables as they are at this moment, with one request.

    Parameters
    ----------
    keys
        Of each table, each key once; a hundred at most in all. Keys without an item have none in the answer.

    Raises
    ------
    UnprocessedKeysError
        The service left out some of them, again and again.
    """
    found: dict[str, list[dict[str, Any]]] = {table: [] for table in keys}
    requests: Mapping[str, Any] = {
        table: {"Keys": [_marshal(key) for key in of_table], "ConsistentRead": True} for table, of_table in keys.items()
    }
    for _ in range(MAX_BATCH_GETS):
        answer = client.batch_get_item(RequestItems=requests)
        for table, items in answer["Responses"].items():
            found[table] += [_unmarshal(item) for item in items]
        requests = answer.get("UnprocessedKeys", {})
        if not requests:
            return found
    raise UnprocessedKeysError(f"DynamoDB left keys of {', '.join(requests)} unread {MAX_BATCH_GETS} times")


def delete_if(
    client: DynamoDBClient, table: str, key: Mapping[str, Any], condition: str, operands: Mapping[str, Any]
) -> None:
    """Delete one item if a condition holds, in which ``#status`` stands for an attribute whose name is reserved.

    Raises
    ------
    ConditionFailedError
        The condition does not hold, or there is no such item.
    """
    optional: dict[str, Any] = {"ExpressionAttributeValues": _marshal(operands)} if operands else {}
    if names := re.findall(r"#\w+", condition):
        optional["ExpressionAttributeNames"] = {name: name[1:] for name in names}
    try:
        client.delete_item(TableName=table, Key=_marshal(key), ConditionExpression=condition, **optional)
    except ClientError as error:
        raise _failed_condition(error) from error


def _failed_condition(error: ClientError) -> Exception:
    if error.response.get("Error", {}).get("Code") == "ConditionalCheckFailedException":
        return ConditionFailedError(_unmarshal(cast("dict[str, Any]", error.response.get("Item", {}))))
    return error


def _marshal(values: Mapping[str, Any]) -> dict[str, AttributeValueTypeDef]:
    return {name: _serialize(_decimal(value)) for name, value in values.items()}


def _decimal(value: Any) -> Any:
    """Return a value as boto3 takes it: without floats, which are not exact."""
    match value:
        case float():
            return Decimal(repr(value))
        case dict():
            return {name: _decimal(part) for name, part in value.items()}
        case _:
            return value


def _unmarshal(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _deserialize(value) for name, value in item.items()}
