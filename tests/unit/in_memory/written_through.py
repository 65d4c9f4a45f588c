"""Tables of moto's that a test fills: its UpdateItem takes ten times as long as its PutItem."""

from dataclasses import dataclass
from typing import Any

from tests.unit.in_memory.dynamodb import InMemoryDynamoDB


@dataclass
class WrittenThrough(InMemoryDynamoDB):
    """What writes make of an item is worked out in memory, and put into moto's table; who else writes is not seen."""

    moto: Any = None

    def update_item(self, **request: Any) -> dict[str, Any]:
        answer = super().update_item(**request)
        self.moto.put_item(TableName=request["TableName"], Item=answer["Attributes"])
        return answer

    def delete_item(self, **request: Any) -> dict[str, Any]:
        answer = super().delete_item(**request)
        self.moto.delete_item(TableName=request["TableName"], Key=request["Key"])
        return answer
