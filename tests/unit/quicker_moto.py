"""Three detours of moto's DynamoDB, cut short: they were a tenth of what the unit tests cost.

What comes of it is the same, for the values that the tests use (no binary ones).
"""

from typing import Any

from moto.core.model import StructureShape
from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb.parsing.validators import ActionCountValidator, OverlappingPathsValidator


def cut_short() -> None:
    """Replace them for this process."""
    # They look at a whole update, and did so once more from each of its parts.
    ActionCountValidator.traverse = ActionCountValidator.verify_action_counts
    OverlappingPathsValidator.traverse = OverlappingPathsValidator.check_for_overlapping_paths
    structure = BaseJSONSerializer._serialize_type_structure

    def serialize(self: Any, serialized: Any, value: Any, shape: StructureShape, key: str) -> None:
        # It is JSON already; each was looked through for ten types by six spellings of their names.
        if shape.name == "AttributeValue":
            serialized[key] = value
        else:
            structure(self, serialized, value, shape, key)

    BaseJSONSerializer._serialize_type_structure = serialize  # type: ignore[method-assign]
