"""How a stack stands, and why nothing is happening if nothing is. It only reads."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from imagescribe.aws.dead_letters import DeadLetters
from imagescribe.model.record import Status
from imagescribe.model.times import iso_utc
from imagescribe.throttle import Throttle
from imagescribe.throttle import breaker as breakers
from imagescribe.throttle.breaker import UNTIL_CLOSED, OpenedBy
from imagescribe.throttle.budget import utc_day
from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.aws.queue_depth import QueueDepth
from imagescribe_ops.aws.stack import StackOutputs
from imagescribe_ops.catalog_view import CatalogView, StatusCounts

MAX_DEAD_LETTERS_COUNTED = 200
MAX_WAITING_READ = 100


@dataclass(frozen=True, slots=True)
class MappingState:
    """An event source mapping of the describe function."""

    id: str
    state: str


@dataclass(frozen=True, slots=True)
class Intake:
    """Whether calls may start, and how many.

    Attributes
    ----------
    paused_by, paused_because, paused_until
        Empty where there is no pause. The time is ISO 8601, and empty for a pause that an operator ends.
    requests_per_minute
        What the throttle allows now.
    failures
        Failed calls since the last success.
    budget_usd
        For a UTC day; 0 where there is none.
    is_free
        Whether calls cost nothing.
    """

    paused_by: str
    paused_because: str
    paused_until: str
    requests_per_minute: float
    failures: int
    spent_today_usd: float
    budget_usd: float
    mappings: list[MappingState]
    is_free: bool = False


@dataclass(frozen=True, slots=True)
class StackStatus:
    """How a stack stands.

    Attributes
    ----------
    oldest_waiting_at
        When the image was uploaded that waits or is being described for longest; empty where none does.
    last_back_at
        Until when the last image was told to wait, of the newest that wait; empty where none was.
    dead_letters_by_reason
        Of those that a reading finds, MAX_DEAD_LETTERS_COUNTED at the most.
    why
        One sentence that answers "why is nothing happening?".
    """

    uploads: QueueDepth
    backfill: QueueDepth
    dead_letters: QueueDepth
    dead_letters_by_reason: dict[str, int]
    images: StatusCounts
    oldest_waiting_at: str
    last_back_at: str
    intake: Intake
    why: str


def read_status(
    connection: Connection, outputs: StackOutputs, dead_letters: DeadLetters, intake: Intake, now: float
) -> StackStatus:
    """Read the queues and the catalog."""
    uploads, backfill = QueueDepth.read(connection, outputs.upload_queue_url), backfill_depth(connection, outputs)
    dead = QueueDepth.read(connection, outputs.dead_letter_queue_url)
    letters = dead_letters.read(MAX_DEAD_LETTERS_COUNTED) if dead.visible else []
    reasons = Counter(letter.reason for letter in letters)
    catalog = CatalogView(connection, outputs.catalog_table_name)
    waiting = catalog.find(bucket=outputs.bucket_name, status=Status.WAITING, limit=MAX_WAITING_READ)
    told = [record.waiting_until for record in waiting.records]
    return StackStatus(
        uploads=uploads,
        backfill=backfill,
        dead_letters=dead,
        dead_letters_by_reason={str(reason): count for reason, count in reasons.items()},
        images=catalog.count(),
        oldest_waiting_at=catalog.oldest_unfinished(),
        last_back_at=max((until for until in told if until > iso_utc(now)), default=""),
        intake=intake,
        why=why_nothing_happens(uploads, backfill, dead, intake),
    )


def backfill_depth(connection: Connection, outputs: StackOutputs) -> QueueDepth:
    """Return how many messages the backfill queue holds; none where the stack has no such queue."""
    url = outputs.backfill_queue_url
    return QueueDepth.read(connection, url) if url else QueueDepth(0, 0, 0)


def read_intake(
    connection: Connection, outputs: StackOutputs, throttle: Throttle, budget_usd: float, now: float
) -> Intake:
    """Read whether calls may start."""
    state, refusal = throttle.state(), throttle.refusal()
    by_budget = refusal is not None and breakers.retry_at(state.breaker, now) is None
    mappings = connection.lambda_functions().list_event_source_mappings(FunctionName=outputs.describe_function_name)[
        "EventSourceMappings"
    ]
    return Intake(
        paused_by="" if refusal is None else OpenedBy.BUDGET if by_budget else state.breaker.opened_by,
        paused_because="" if refusal is None else _because(state.breaker.why, budget_usd if by_budget else 0),
        paused_until="" if refusal is None or refusal.time >= UNTIL_CLOSED else iso_utc(refusal.time),
        requests_per_minute=round(60 * state.rate.per_second, 1),
        failures=state.breaker.failures,
        spent_today_usd=round(state.budget.spent_on(utc_day(now)), 3),
        budget_usd=budget_usd,
        mappings=[MappingState(mapping["UUID"], mapping["State"]) for mapping in mappings],
    )


def pause_sentence(intake: Intake) -> str:
    """Say who paused calls, until when and why; empty where nobody did."""
    if not intake.paused_by:
        return ""
    until = intake.paused_until or "`imagescribe resume`"
    return f"Paused by the {intake.paused_by} until {until}: {intake.paused_because}"


def queued_sentence(depth: QueueDepth, intake: Intake) -> str:
    """Say how many messages wait in the queue, why, and until when; empty where none does."""
    queued = depth.visible + depth.delayed
    if not queued:
        return ""
    messages = "1 message waits" if queued == 1 else f"{queued:,} messages wait"
    if paused := pause_sentence(intake):
        return f"{messages} in the queue. {paused}."
    minutes = queued / max(intake.requests_per_minute, 0.1)
    soon = f"{minutes:,.0f} minutes" if minutes >= 2 else "a minute or two"
    return (
        f"{messages} in the queue; at {intake.requests_per_minute:g} calls a minute the last one's turn is in {soon}."
    )


def why_nothing_happens(uploads: QueueDepth, backfill: QueueDepth, dead_letters: QueueDepth, intake: Intake) -> str:
    """Answer "why is nothing happening?" in one sentence."""
    if intake.paused_by:
        return pause_sentence(intake)
    states = {mapping.state for mapping in intake.mappings}
    if not states:
        return "Nothing is received: the describe function has no event source mapping. Deploy the stack again."
    if states & {"Disabled", "Disabling"}:
        return (
            "Nothing is received: the event source mapping is disabled. After a pause it is enabled within a minute; "
            "`imagescribe resume` enables it now."
        )
    if (uploads.total or backfill.total) and intake.failures:
        calls = "the last call failed" if intake.failures == 1 else f"the last {intake.failures} calls failed"
        return f"The endpoint fails: {calls}. Images wait and are tried again."
    if uploads.total:
        messages = "1 message waits or is" if uploads.total == 1 else f"{uploads.total} messages wait or are"
        return f"{messages} in work, at up to {intake.requests_per_minute:g} calls a minute."
    if backfill.total:
        messages = "1 message" if backfill.total == 1 else f"{backfill.total} messages"
        return f"No upload waits; {messages} of a backfill, at up to {intake.requests_per_minute:g} calls a minute."
    if dead_letters.total:
        dead = "1 dead letter is" if dead_letters.total == 1 else f"{dead_letters.total} dead letters are"
        return f"Nothing waits, but {dead} left: see `imagescribe list --status dead` and `imagescribe redrive`."
    return "Nothing waits: every upload has come to its end."


def _because(why: str, spent_budget_usd: float) -> str:
    return f"the day's budget of ${spent_budget_usd:g} is spent" if spent_budget_usd else why
