"""What the two tables say of a batch's images before anything is done for them, with one request."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from imagescribe.model.answers import Description
from imagescribe.model.events import Upload
from imagescribe.model.record import Record, Standing
from imagescribe.stores import ledger
from imagescribe.stores.dynamodb import get_all
from imagescribe.stores.ledger import ClaimedElsewhere, content_key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from imagescribe.model.events import ObjectEvent
    from imagescribe.settings import Settings


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the image that an event tells of; None where there is nothing.

    Attributes
    ----------
    content
        Of an upload: the description that is paid for, or who is about to pay for it.
    """

    record: Record | None = None
    content: Description | ClaimedElsewhere | None = None

    @property
    def label_tags(self) -> Mapping[str, str]:
        """The tags of labels that were written onto the object."""
        return self.record.label_tags if self.record else {}

    def standing(self, upload: Upload) -> Standing | None:
        """Return how an upload stands by its image's record; None where that is to be opened for it."""
        return self.record.standing(upload) if self.record else None


@dataclass(frozen=True, slots=True)
class Lookup:
    """The catalog and the ledger, looked up together."""

    client: DynamoDBClient
    ledger_table: str
    catalog_table: str
    clock: Callable[[], float] = time.time

    @classmethod
    def of_stack(cls, client: DynamoDBClient, settings: Settings) -> Self:
        """Return the tables of a stack."""
        return cls(client, settings.ledger_table, settings.catalog_table)

    def of(self, events: Sequence[ObjectEvent]) -> list[Known]:
        """Return what is known of each event's image."""
        if not events:
            return []
        images = {event.image for event in events}
        contents = {content_key(event)["content"] for event in events if isinstance(event, Upload)}
        keys = {self.catalog_table: [{"image": image} for image in images]}
        if contents:
            keys[self.ledger_table] = [{"content": content} for content in contents]
        found = get_all(self.client, keys)
        now = self.clock()
        records = {item["image"]: Record.of_item(item) for item in found.get(self.catalog_table, ())}
        paid = {item["content"]: ledger.known(item, now) for item in found.get(self.ledger_table, ())}
        return [
            Known(
                records.get(event.image),
                paid.get(content_key(event)["content"]) if isinstance(event, Upload) else None,
            )
            for event in events
        ]
