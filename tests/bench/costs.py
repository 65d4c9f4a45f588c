"""Print what a million images cost and how long they take, by rate limit: `uv run python -m tests.bench.costs`.

Everything is at list prices in us-east-1 (November 2026), without free tiers. An image is worked on once, and goes
round (is taken from the queue and deferred with nine others) as often as it has to wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

IMAGES: Final = 1_000_000
RATES: Final = (5.0, 50.0, 500.0, 1000.0)  # calls a minute

# Counted by `python -m tests.bench.speed requests`: requests for each image of a backlog, the limit known.
COUNTED: Final[Mapping[str, float]] = {
    "dynamodb UpdateItem": 4.98,
    "dynamodb DeleteItem": 0.02,
    "dynamodb BatchGetItem": 0.35,
    "s3 GetObject": 1.02,
    "s3 HeadObject": 1.01,
    "s3 GetObjectTagging": 1.0,
    "s3 PutObjectTagging": 1.0,
    "presigned GetObject": 1.0,
    "events PutEvents": 0.12,
    "sqs ChangeMessageVisibilityBatch": 0.25,
}
INDEX_WRITES: Final = 5.0
"""A new record is written to two indexes; `described` moves it from one partition of the index by status to another,
and writes it to the index by description."""
BILLED_SECONDS: Final = 0.76  # of Lambda for each image, by its row `backlog`: ten calls side by side

# What an invocation asks for that has no start near for any of its batch, and how long it is billed.
ROUND: Final[Mapping[str, float]] = {
    "dynamodb BatchGetItem": 1.0,
    "dynamodb UpdateItem": 1.0,
    "sqs ChangeMessageVisibilityBatch": 1.0,
    "sqs ReceiveMessage": 1.0,
}
ROUND_SECONDS: Final = 0.04
ITEMS_READ: Final = 2.0  # of each image, by a BatchGetItem: its record and its content
REQUEUE_REQUESTS: Final = 1.1  # a message that has gone round ten times is requeued, and ten are deleted at once
REQUEUED_AFTER: Final = 10

BATCH: Final = 10
CONCURRENCY: Final = 10
CALL_SECONDS: Final = 4.0
HORIZON_SECONDS: Final = 2.0  # ahead that a start is permitted
LINE_SECONDS: Final = (
    900.0  # ahead that images come back to the queue in order, and how much more often than they start
)
LINE_ROUNDS: Final = 2.0
MAX_IN_FLIGHT: Final = 120_000  # messages that SQS lets be received and not yet deleted
RETENTION_DAYS: Final = 14

USD: Final[Mapping[str, float]] = {
    "endpoint": 0.015,
    "lambda GB-s": 0.0000133334,
    "lambda request": 0.20e-6,
    "dynamodb write": 0.625e-6,
    "dynamodb read": 0.125e-6,
    "s3 read": 0.40e-6,
    "s3 write": 5.00e-6,  # tags are written at the price of a PUT
    "sqs": 0.40e-6,
    "event": 1.00e-6,
    "log GB": 0.50,
    "tag month": 0.01 / 10_000,
}
MEMORY_GB: Final = 0.5
LOG_GB: Final = 0.5e-6
POLLER: Final = 2 / BATCH  # receive and delete, for ten messages at once
EVENTS: Final = 2  # S3's and ours, paid one by one however they are sent
EACH_USD: Final = EVENTS * USD["event"] + POLLER * USD["sqs"] + LOG_GB * USD["log GB"]


@dataclass(frozen=True, slots=True)
class Cost:
    """A million images at one rate.

    Attributes
    ----------
    days
        Until the last one is described.
    rounds
        How often an image is received and deferred.
    """

    rate: float
    days: float
    rounds: float
    lambda_usd: float
    dynamodb_usd: float
    others_usd: float

    @property
    def aws_usd(self) -> float:
        """All of AWS's side, without the month of tags."""
        return self.lambda_usd + self.dynamodb_usd + self.others_usd


def cost(rate: float, images: int = IMAGES) -> Cost:
    """Work out the cost at a rate (calls a minute)."""
    minutes = images / rate
    far, near = _rounds(rate, images)
    # Those who come back in order come a few at a time where the rate is low, the others ten at a time.
    together = min(BATCH, max(1.0, LINE_ROUNDS * rate / 60))
    rounds, away = far + near, far / BATCH + near / together
    items = ITEMS_READ * (1 + rounds)
    # At a low rate an invocation has one call or a few, since it doesn't wait for more.
    side_by_side = min(BATCH, max(1.0, rate / 60 * HORIZON_SECONDS))
    billed = max(BILLED_SECONDS, CALL_SECONDS / side_by_side)
    gb_seconds = MEMORY_GB * images * (billed + away * ROUND_SECONDS)
    invocations = images * (1 / side_by_side + away)
    requeues_usd = rounds / REQUEUED_AFTER * REQUEUE_REQUESTS * USD["sqs"]
    return Cost(
        rate=rate,
        days=minutes / 60 / 24,
        rounds=rounds,
        lambda_usd=gb_seconds * USD["lambda GB-s"] + invocations * USD["lambda request"],
        dynamodb_usd=images
        * (
            _writes(COUNTED)
            + INDEX_WRITES * USD["dynamodb write"]
            + away * _writes(ROUND)
            + items * USD["dynamodb read"]
        ),
        others_usd=images * (_others(COUNTED) + EACH_USD + away * _others(ROUND) + requeues_usd),
    )


def _rounds(rate: float, images: int) -> tuple[float, float]:
    """Return how often an image is deferred behind the line and in it: on average it waits for half of the others."""
    a_second = rate / 60
    each_seconds = (
        0.75 * LINE_SECONDS
    )  # behind a line that is full, one comes back after half of its length to all of it
    waiting_seconds = max(0.0, images / a_second / 2 - LINE_SECONDS)
    # No more go round than invocations can take, or SQS lets be in flight.
    most_a_second = min(CONCURRENCY * BATCH / ROUND_SECONDS, MAX_IN_FLIGHT / each_seconds)
    return min(waiting_seconds / each_seconds, most_a_second / a_second), LINE_ROUNDS


def _writes(requests: Mapping[str, float]) -> float:
    return (requests["dynamodb UpdateItem"] + requests.get("dynamodb DeleteItem", 0)) * USD["dynamodb write"]


def _others(requests: Mapping[str, float]) -> float:
    usd = 0.0
    for name, count in requests.items():
        match name.split():
            case ["s3", "PutObjectTagging"]:
                usd += count * USD["s3 write"]
            case ["s3" | "presigned", _]:
                usd += count * USD["s3 read"]
            case ["sqs", _]:
                usd += count * USD["sqs"]
    return usd


def main() -> None:
    """Print the table for the README."""
    print("| calls a minute | a million take | endpoint | Lambda | DynamoDB | S3, SQS, events, logs | AWS, together |")
    print("|---|---|---|---|---|---|---|")
    for rate in RATES:
        each = cost(rate)
        time = f"{each.days:.1f} days" if each.days >= 2 else f"{24 * each.days:.0f} hours"
        figures = (each.lambda_usd, each.dynamodb_usd, each.others_usd, each.aws_usd)
        usd = " | ".join(f"${figure:,.2f}" for figure in figures)
        print(f"| {rate:,.0f} | {time} | ${IMAGES * USD['endpoint']:,.0f} | {usd} |")
    kept = ", ".join(f"{rate * 60 * 24 * RETENTION_DAYS:,.0f} at {rate:,.0f} a minute" for rate in RATES)
    print(f"\nThe queue keeps a message for {RETENTION_DAYS} days; in that time are described {kept}.")
    print("An image that waits is requeued each tenth time it comes round, which starts its time anew: none is lost.")
    print(f"Tags cost ${IMAGES * USD['tag month']:,.2f} a month.")
    print("\nRounds of an image: " + ", ".join(f"{cost(rate).rounds:,.0f} at {rate:,.0f} a minute" for rate in RATES))


if __name__ == "__main__":
    main()
