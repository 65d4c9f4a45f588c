"""What a backfill and an audit cost, and how long they take, by the number of objects. List prices, us-east-1.

AWS's limits behind the numbers: 1,000 keys in an answer of ListObjectsV2, a hundred items in a BatchGetItem, ten
messages in a SendMessageBatch.
"""

from __future__ import annotations

from dataclasses import dataclass

OBJECTS = (10_000, 10_000_000, 1_000_000_000)
RATES = (5.0, 50.0, 500.0, 1_000.0)  # calls a minute

LIST_PAGE = 1_000
LIST_USD = 5e-6
READ_USD = 0.125e-6  # of 4 KB, consistent; half of it where it may be a moment old
CONSISTENT_READS = 1.0
SQS_USD = 0.4e-6
LOOK_USD = 0.4e-6  # a HEAD or a ranged GET
LAMBDA_USD_SECOND = 0.5 * 0.0000133334
CALL_USD = 0.015
PIPELINE_USD = 30e-6  # an image's way from the queue to the catalog, as tests/bench/costs.py has it

# Assumed of S3 and DynamoDB in the same region, not measured here: seconds of a request.
LIST_SECONDS = 0.15
BATCH_GET_SECONDS = 0.02
SEND_SECONDS = 0.015
SIDE_BY_SIDE = 10
RUN_SHARE = 40 / 60  # of each minute the lister may read for

AUDIT_RECORDS_SIDE_BY_SIDE = 4


@dataclass(frozen=True, slots=True)
class Model:
    """A bucket in which nothing is described."""

    objects: int

    @property
    def lister_page_seconds(self) -> float:
        """How long the lister takes for a page of 1,000 that it sends."""
        gets = LIST_PAGE / 100 * BATCH_GET_SECONDS / SIDE_BY_SIDE
        sends = LIST_PAGE / 10 * SEND_SECONDS / SIDE_BY_SIDE
        return LIST_SECONDS + gets + sends

    @property
    def listing_days(self) -> float:
        """How long the listing takes by itself, with a queue that is never full."""
        return self.objects / LIST_PAGE * self.lister_page_seconds / RUN_SHARE / 86_400

    @property
    def lister_usd(self) -> float:
        """What the lister costs: pages, look-ups, messages and its seconds."""
        pages = self.objects / LIST_PAGE
        return (
            pages * (LIST_USD + self.lister_page_seconds * LAMBDA_USD_SECOND)
            + self.objects * CONSISTENT_READS * READ_USD
            + self.objects * SQS_USD / 10
        )

    @property
    def estimate_usd(self) -> float:
        """What an estimate costs: pages and look-ups in catalog and ledger."""
        return self.objects / LIST_PAGE * LIST_USD + self.objects * 1.5 * READ_USD

    @property
    def endpoint_usd(self) -> float:
        """What the descriptions cost."""
        return self.objects * CALL_USD

    @property
    def pipeline_usd(self) -> float:
        """What AWS costs for the descriptions themselves."""
        return self.objects * PIPELINE_USD

    def days(self, rate: float) -> float:
        """How long it takes at a rate."""
        return max(self.objects / rate / 1_440, self.listing_days)

    @property
    def audit_hours(self) -> float:
        """How long an audit takes over a described bucket."""
        pages = self.objects / LIST_PAGE * LIST_SECONDS
        records = self.objects / 100 * BATCH_GET_SECONDS / AUDIT_RECORDS_SIDE_BY_SIDE
        return max(pages, records) / 3_600

    @property
    def audit_usd(self) -> float:
        """What an audit costs: pages, the index and the records."""
        index = self.objects * 0.2 / 4 * READ_USD / 2  # 200 bytes of keys each
        return self.objects / LIST_PAGE * LIST_USD + index + self.objects * READ_USD / 2


def table() -> list[str]:
    """Return the model as a table in Markdown."""
    lines = [
        "| objects | estimate | lister | other AWS | endpoint | "
        + " | ".join(f"{rate:g}/min" for rate in RATES)
        + " | listing alone | audit |",
        "|" + "---|" * (7 + len(RATES)),
    ]
    for objects in OBJECTS:
        model = Model(objects)
        days = " | ".join(_time(model.days(rate)) for rate in RATES)
        lines.append(
            f"| {objects:,} | ${model.estimate_usd:,.2f} | ${model.lister_usd:,.2f} | ${model.pipeline_usd:,.2f} "
            f"| ${model.endpoint_usd:,.0f} | {days} | {_time(model.listing_days)} "
            f"| {_time(model.audit_hours / 24)}, ${model.audit_usd:,.2f} |"
        )
    return lines


def _time(days: float) -> str:
    if days >= 365:
        return f"{days / 365:,.1f} years"
    if days >= 2:
        return f"{days:,.1f} days"
    return f"{days * 24:,.1f} h" if days * 24 >= 1 else f"{days * 1_440:,.1f} min"
