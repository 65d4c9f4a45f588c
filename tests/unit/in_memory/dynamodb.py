"""DynamoDB in memory: conditional writes of single items, each atomic, batches of reads, and no reserved words."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from threading import Lock
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize

_TOKEN = re.compile(r"[#:]?\w+|<>|<=|>=|[=<>(),+]")
_MISSING = object()

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: left == right,
    "<>": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


@dataclass
class InMemoryDynamoDB:
    """Tables come into being when they are first written to."""

    tables: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def get_item(self, *, TableName: str, Key: Mapping[str, Any], **_options: Any) -> dict[str, Any]:
        with self._lock:
            item = self._table(TableName).get(_only(Key))
            return {} if item is None else {"Item": _marshal(item)}

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            keys = {table: [_only(key) for key in request["Keys"]] for table, request in RequestItems.items()}
            if any(len(set(of_table)) < len(of_table) for of_table in keys.values()):
                raise _error("ValidationException", "BatchGetItem")
            found = {
                table: [_marshal(item) for key in of_table if (item := self._table(table).get(key)) is not None]
                for table, of_table in keys.items()
            }
            return {"Responses": found, "UnprocessedKeys": {}}

    def update_item(self, **request: Any) -> dict[str, Any]:
        with self._lock:
            table, key = self._table(request["TableName"]), _only(request["Key"])
            _check(request, table.get(key), "UpdateItem")
            item = dict(table.get(key) or _unmarshal(request["Key"]))
            _Update(request, item).run()
            table[key] = item
            return {"Attributes": _marshal(item)}

    def delete_item(self, **request: Any) -> dict[str, Any]:
        with self._lock:
            table, key = self._table(request["TableName"]), _only(request["Key"])
            _check(request, table.get(key), "DeleteItem")
            table.pop(key, None)
            return {}

    def query(self, **request: Any) -> dict[str, Any]:
        """Query an index whose range key stands last in the condition."""
        condition = request["KeyConditionExpression"]
        range_key = condition.rpartition("AND")[2].split()[0]
        with self._lock:
            items = list(self._table(request["TableName"]).values())
        found = [item for item in items if _Reader(condition, request, item).condition()]
        found.sort(key=lambda item: str(item[range_key]))
        return {"Items": [_marshal(item) for item in found[: request.get("Limit")]]}

    def _table(self, name: str) -> dict[str, dict[str, Any]]:
        return self.tables.setdefault(name, {})


class _Reader:
    """Reads an expression from left to right, over one item."""

    def __init__(self, expression: str, request: Mapping[str, Any], item: Mapping[str, Any]) -> None:
        self._tokens = _TOKEN.findall(expression)
        self._names = request.get("ExpressionAttributeNames", {})
        self._values = _unmarshal(request.get("ExpressionAttributeValues", {}))
        self._item = item

    def peek(self) -> str:
        return self._tokens[0] if self._tokens else ""

    def next(self) -> str:
        token: str = self._tokens.pop(0)
        return token

    def skip(self, token: str) -> bool:
        """Skip a token if it is the next."""
        if self.peek() != token:
            return False
        self.next()
        return True

    def path(self) -> str:
        token = self.next()
        return str(self._names[token]) if token.startswith("#") else token

    def operand(self) -> Any:
        if self.peek().startswith(":"):
            return self._values[self.next()]
        return self._item.get(self.path(), _MISSING)

    def condition(self) -> bool:
        holds = self._all()
        while self.skip("OR"):
            holds = self._all() or holds
        return holds

    def _all(self) -> bool:
        holds = self._one()
        while self.skip("AND"):
            holds = self._one() and holds
        return holds

    def _one(self) -> bool:
        if self.skip("("):
            holds = self.condition()
            assert self.skip(")")
            return holds
        if self.peek() in ("attribute_exists", "attribute_not_exists"):
            wants = self.next() == "attribute_exists"
            self.next()
            exists = self.path() in self._item
            self.next()
            return exists is wants
        left, comparison, right = self.operand(), self.next(), self.operand()
        if comparison == "<>":
            return bool(left != right)
        if left is _MISSING or right is _MISSING or type(left) is not type(right):
            return False
        return _COMPARISONS[comparison](left, right)


class _Update:
    def __init__(self, request: Mapping[str, Any], item: dict[str, Any]) -> None:
        # What is read is the item before the update.
        self._reader = _Reader(request.get("UpdateExpression", ""), request, dict(item))
        self._item = item

    def run(self) -> None:
        reader = self._reader
        while clause := reader.peek() and reader.next():
            while True:
                self._change(clause)
                if not reader.skip(","):
                    break

    def _change(self, clause: str) -> None:
        reader = self._reader
        path = reader.path()
        match clause:
            case "SET":
                assert reader.skip("=")
                self._item[path] = self._value()
            case "REMOVE":
                self._item.pop(path, None)
            case "ADD":
                self._item[path] = self._item.get(path, Decimal(0)) + reader.operand()
            case _:
                raise AssertionError(f"{clause} in an update is not played here")

    def _value(self) -> Any:
        reader = self._reader
        if reader.skip("if_not_exists"):
            assert reader.skip("(")
            present = reader.operand()
            assert reader.skip(",")
            other = reader.operand()
            assert reader.skip(")")
            return other if present is _MISSING else present
        value = reader.operand()
        while reader.skip("+"):
            more = reader.operand()
            if value is _MISSING or more is _MISSING:
                raise _error("ValidationException", "UpdateItem")
            value += more
        if value is _MISSING:
            raise _error("ValidationException", "UpdateItem")
        return value


def _check(request: Mapping[str, Any], item: dict[str, Any] | None, operation: str) -> None:
    condition = request.get("ConditionExpression")
    if condition and not _Reader(condition, request, item or {}).condition():
        carried = request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" and item
        raise _error("ConditionalCheckFailedException", operation, Item=_marshal(item) if carried and item else {})


def _error(code: str, operation: str, **more: Any) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": "in memory"}, **more}
    return ClientError(response, operation)


def _only(key: Mapping[str, Any]) -> str:
    (value,) = _unmarshal(key).values()
    return str(value)


def _marshal(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _serialize(value) for name, value in item.items()}


def _unmarshal(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _deserialize(value) for name, value in item.items()}
