"""The ledger: what has been paid for, keyed by content, so that no content is ever paid for twice.

One item for each distinct content. Before a paid call the item is claimed, with a lease that ends with the invocation;
the answer is saved in it before anything else is done with the answer, and stays for good. The claim of a holder that
crashed ends by its lease. The content may then have been paid for without the answer being known, as it may where an
answer came too late. `claims` counts the claims of which that is so, and the present one.

Powertools' Idempotency was weighed for this. It has the same claim and lease, but knows no holder, so a claim whose
confirmation got lost locks its own holder out for the rest of the lease; it tries once to save a paid answer and, if
that fails, forgets the payment; it sets itself up on first use without a lock, which the threads of a batch race for;
and it hides the content behind a hash, where nobody can look it up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from imagescribe.model.answers import Description
from imagescribe.stores.dynamodb import ConditionFailedError, delete_if, update_if

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from imagescribe.model.events import Upload

SAVE_RETRY_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Claimed:
    """The content is ours to pay for, until the lease ends."""


@dataclass(frozen=True, slots=True)
class ClaimedElsewhere:
    """Another message is being described with the same content.

    Attributes
    ----------
    lease_until
        When its lease ends, in epoch seconds.
    """

    lease_until: float


type Claim = Claimed | ClaimedElsewhere | Description


class Ledger:
    """The ledger table.

    Parameters
    ----------
    clock, sleep
        Epoch seconds, and waiting for some of them.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._table = table
        self._clock = clock
        self._sleep = sleep

    def claim(self, upload: Upload, holder: str, lease_until: float) -> Claim:
        """Claim the right to pay for an upload's content, unless it has been paid for or is claimed already.

        Parameters
        ----------
        holder
            Who claims: the same holder may claim again, which makes a claim whose confirmation got lost harmless.
        lease_until
            Epoch seconds.
        """
        try:
            update_if(
                self._client,
                self._table,
                content_key(upload),
                values={"holder": holder, "lease_until": lease_until, "image": upload.image},
                condition="attribute_not_exists(body) AND "
                "(attribute_not_exists(holder) OR holder = :holder OR lease_until < :now)",
                operands={":holder": holder, ":now": self._clock()},
                add={"claims": 1},
            )
        except ConditionFailedError as failed:
            return known(failed.item, self._clock()) or ClaimedElsewhere(self._clock())
        return Claimed()

    def save(self, upload: Upload, description: Description, deadline: float) -> Description:
        """Save a paid answer for good, trying until the deadline, and return the one that stands.

        That is the answer saved first, should the content have been paid for twice after a crash.

        Parameters
        ----------
        deadline
            Epoch seconds. Until then a failing table is tried again, because giving up means paying again.
        """
        while True:
            try:
                return self._save(upload, description)
            except (ClientError, BotoCoreError):
                if self._clock() + SAVE_RETRY_SECONDS >= deadline:
                    raise
                self._sleep(SAVE_RETRY_SECONDS)

    def release(self, upload: Upload, holder: str, *, may_be_paid: bool = False) -> None:
        """Give a claim back without an answer, so that the next one need not wait for the lease to end.

        Parameters
        ----------
        may_be_paid
            Whether there was a call that may have been billed. It is not forgotten, as that of others before us is not.
        """
        ours, operands = "holder = :holder AND attribute_not_exists(body)", {":holder": holder}
        if not may_be_paid:
            with suppress(ConditionFailedError):
                alone = f"{ours} AND claims = :one"
                delete_if(self._client, self._table, content_key(upload), alone, {**operands, ":one": 1})
                return
        with suppress(ConditionFailedError):
            update_if(
                self._client,
                self._table,
                content_key(upload),
                values={},
                condition=ours,
                operands=operands,
                remove=("holder", "lease_until"),
                add={} if may_be_paid else {"claims": -1},
            )

    def _save(self, upload: Upload, description: Description) -> Description:
        paid = {**asdict(description), "image": upload.image}
        try:
            update_if(
                self._client,
                self._table,
                content_key(upload),
                values=paid,
                condition="attribute_not_exists(body)",
                operands={},
                remove=("holder", "lease_until"),
            )
        except ConditionFailedError as failed:
            return _description(failed.item)
        return description


def content_key(upload: Upload) -> dict[str, str]:
    """Return the key of an upload's content in the ledger."""
    return {"content": f"{upload.etag}-{upload.size}"}


def known(item: Mapping[str, Any], now: float) -> Description | ClaimedElsewhere | None:
    """Return what an item says of its content: paid for, claimed by somebody right now, or (None) neither."""
    if "body" in item:
        return _description(item)
    lease_until = float(item.get("lease_until", 0))
    return ClaimedElsewhere(lease_until) if lease_until >= now else None


def _description(item: Mapping[str, Any]) -> Description:
    return Description(
        body=item["body"],
        cost_usd=float(item["cost_usd"]),
        latency_seconds=float(item["latency_seconds"]),
        request_id=item["request_id"],
        described_at=item["described_at"],
        model=item.get("model"),
        rendered_from=item.get("rendered_from"),
    )
