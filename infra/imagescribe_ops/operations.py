"""What an operator does to a stack: pause, resume, redrive, retry, and ask why nothing is happening.

It works on what the functions work on, through their own modules, so that the two cannot disagree.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from imagescribe.aws.dead_letters import DeadLetter, DeadLetters
from imagescribe.aws.mappings import Mappings
from imagescribe.aws.s3 import Objects
from imagescribe.errors import MalformedMessageError
from imagescribe.meter import OPERATORS_PAUSE_ENDS_AT, Meter
from imagescribe.meter_item import PausedBy, Reading, utc_day
from imagescribe.model.answers import PRICE_USD
from imagescribe.model.events import Upload, parse_body
from imagescribe.model.outcomes import Reason
from imagescribe.model.times import iso_utc
from imagescribe.recovery import LONG_PAUSE_SECONDS
from imagescribe.stores.catalog import Status
from imagescribe.stores.dynamodb import ConditionFailedError, delete_if, get
from imagescribe.stores.ledger import content_key
from imagescribe_ops.catalog_view import CatalogView, StatusCounts
from imagescribe_ops.display import safe
from imagescribe_ops.errors import NotFoundError, OperationError
from imagescribe_ops.stack import Connection, QueueDepth, StackOutputs, read_parameters, readable_errors

MOST_LETTERS_COUNTED = 200
MOST_LETTERS_REDRIVEN = 1_000


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
        What the meter allows now.
    failures
        Failed calls since the last success.
    budget_usd
        For a UTC day; 0 where there is none.
    """

    paused_by: str
    paused_because: str
    paused_until: str
    requests_per_minute: float
    failures: int
    spent_today_usd: float
    budget_usd: float
    mappings: list[MappingState]


@dataclass(frozen=True, slots=True)
class StackStatus:
    """How a stack stands.

    Attributes
    ----------
    oldest_waiting_at
        When the image was uploaded that waits or is being described for longest; empty where none does.
    dead_letters_by_reason
        Of the first MOST_LETTERS_COUNTED.
    why
        One sentence that answers "why is nothing happening?".
    """

    uploads: QueueDepth
    dead_letters: QueueDepth
    dead_letters_by_reason: dict[str, int]
    images: StatusCounts
    oldest_waiting_at: str
    intake: Intake
    why: str


@dataclass(frozen=True, slots=True)
class Retried:
    """What a retry did.

    Attributes
    ----------
    pays_again
        Whether the answer that was paid for was forgotten, so that the image is paid for once more.
    reads_again
        Whether an answer that was paid for is kept, and is read again for nothing.
    """

    image: str
    pays_again: bool
    reads_again: bool


@dataclass(frozen=True)
class Operations:
    """The operator's hand on one stack."""

    connection: Connection
    stack: str
    outputs: StackOutputs
    parameters: Mapping[str, str]
    clock: Callable[[], float] = field(default=time.time)

    @classmethod
    def of_stack(cls, connection: Connection, stack: str) -> Operations:
        """Find a stack.

        Raises
        ------
        OperationError
            There is none of this name, or it can't be read.
        """
        outputs = StackOutputs.read(connection, stack)
        return cls(connection, stack, outputs, read_parameters(connection, stack))

    def pause(self, because: str, seconds: float | None = None) -> Intake:
        """Pause intake, until resumed or for some seconds, and return how it stands then.

        Messages wait; calls under way are finished. Where the pause is long, the mappings are disabled at once and not
        only by the recover function: a message that stays in the queue is there as soon as intake is resumed.
        """
        lasting = OPERATORS_PAUSE_ENDS_AT if seconds is None else seconds  # the meter cuts it to that end
        with readable_errors():
            meter = self._meter()
            meter.pause(PausedBy.OPERATOR, because, lasting)
            if lasting > LONG_PAUSE_SECONDS and self._mappings().enable(enabled=False):
                meter.switch(off=True)
            return self._intake()

    def resume(self) -> Intake:
        """End whatever pause there is, let messages through at once, and return how intake stands."""
        with readable_errors():
            meter = self._meter()
            meter.resume()
            # A mapping that is changing right now is left to the recover function, which goes by this note.
            meter.switch(off=not self._mappings().enable(enabled=True))
            return self._intake()

    def resume_after_account_fault(self) -> bool:
        """End a pause that a fault of the account began. False where there is none."""
        with readable_errors():
            if self._meter().read().paused_by is not PausedBy.ACCOUNT:
                return False
        self.resume()
        return True

    def redrive(self, reason: Reason | None) -> Counter[Reason]:
        """Send dead letters back to the upload queue: those of one reason, or all."""
        with readable_errors():
            return self._dead_letters().redrive(
                lambda letter: reason is None or letter.reason == reason, MOST_LETTERS_REDRIVEN, count_redrives=False
            )

    def retry(self, bucket: str, key: str, *, force: bool) -> Retried:
        """Describe one image again, by an event like S3's own; its dead letter goes.

        Raises
        ------
        NotFoundError
            There is no such object.
        OperationError
            The stack has nothing to do with it, or it is described already and `force` is not set.
        """
        image = f"s3://{bucket}/{key}"
        self._check_is_ours(bucket, key)
        record = CatalogView(self.connection, self.outputs.catalog_table_name).get(image)
        with readable_errors():
            found = Objects(self.connection.s3()).look(bucket, key)
            if found is None:
                raise NotFoundError(
                    f"There is no object {safe(image)}.", "`imagescribe list --prefix` shows the images that are known."
                )
            if record and record.status == Status.DESCRIBED and not force:
                raise OperationError(
                    f"{safe(image)} is described already.",
                    f"--force describes it again and pays ${PRICE_USD:g} for it.",
                )
            # In the order of text this comes right after the event that the record is of, and before any later one.
            sequencer = f"{record.sequencer}0" if record else "0"
            uploaded_at = record.uploaded_at if record else iso_utc(self.clock())
            upload = Upload(bucket, key, found.version_id, found.etag, found.size, sequencer, uploaded_at)
            pays_again = force and self._forget_payment(upload)
            reads_again = not pays_again and self._is_paid(upload)
            self.connection.sqs().send_message(QueueUrl=self.outputs.upload_queue_url, MessageBody=_body(upload))
            self._dead_letters().discard(_is_superseded_by(upload), MOST_LETTERS_REDRIVEN)
        return Retried(image, pays_again, reads_again)

    def status(self) -> StackStatus:
        """Say how the stack stands, and why nothing is happening if nothing is."""
        uploads = QueueDepth.read(self.connection, self.outputs.upload_queue_url)
        dead_letters = QueueDepth.read(self.connection, self.outputs.dead_letter_queue_url)
        catalog = CatalogView(self.connection, self.outputs.catalog_table_name)
        with readable_errors():
            reasons = self._dead_letters().count(MOST_LETTERS_COUNTED) if dead_letters.visible else Counter()
            intake = self._intake()
        return StackStatus(
            uploads=uploads,
            dead_letters=dead_letters,
            dead_letters_by_reason={str(reason): count for reason, count in reasons.items()},
            images=catalog.count(),
            oldest_waiting_at=catalog.oldest_unfinished(),
            intake=intake,
            why=why_nothing_happens(uploads, dead_letters, intake),
        )

    def _intake(self) -> Intake:
        meter = self._meter()
        reading = meter.read()
        pause = meter.paused(reading)
        by_budget = pause is not None and reading.paused_until <= self.clock()
        budget_usd = self._number("DailyBudgetUsd")
        mappings = self.connection.lambda_functions().list_event_source_mappings(
            FunctionName=self.outputs.describe_function_name
        )["EventSourceMappings"]
        return Intake(
            paused_by="" if pause is None else PausedBy.BUDGET if by_budget else reading.paused_by,
            paused_because="" if pause is None else _because(reading, budget_usd if by_budget else 0),
            paused_until="" if pause is None or pause.until >= OPERATORS_PAUSE_ENDS_AT else iso_utc(pause.until),
            requests_per_minute=round(60 / reading.paced.spacing, 1),
            failures=reading.failures,
            spent_today_usd=round(reading.spent_on(utc_day(self.clock())), 3),
            budget_usd=budget_usd,
            mappings=[MappingState(mapping["UUID"], mapping["State"]) for mapping in mappings],
        )

    def _meter(self) -> Meter:
        return Meter(
            self.connection.dynamodb(),
            self.outputs.ledger_table_name,
            ceiling=self._number("MaxRequestsPerMinute"),
            budget_usd=self._number("DailyBudgetUsd"),
            clock=self.clock,
        )

    def _mappings(self) -> Mappings:
        functions = self.connection.lambda_functions()
        listed = functions.list_event_source_mappings(FunctionName=self.outputs.describe_function_name)
        return Mappings(functions, [mapping["UUID"] for mapping in listed["EventSourceMappings"]])

    def _dead_letters(self) -> DeadLetters:
        return DeadLetters(self.connection.sqs(), self.outputs.dead_letter_queue_url, self.outputs.upload_queue_url)

    def _number(self, parameter: str) -> float:
        return float(self.parameters.get(parameter) or 0)

    def _check_is_ours(self, bucket: str, key: str) -> None:
        """Refuse what the functions may not read: they would try it in vain until it is a dead letter."""
        if bucket != self.outputs.bucket_name:
            raise OperationError(
                f"The stack {self.stack} does not describe what is in the bucket {safe(bucket)}.",
                f"Its bucket is s3://{self.outputs.bucket_name}; name another stack with --stack.",
            )
        prefix = self.parameters.get("KeyPrefix", "")
        if not key.startswith(prefix):
            raise OperationError(
                f"The stack {self.stack} does not describe {safe(key)}.",
                f"It describes keys that begin with {prefix!r} (its parameter KeyPrefix).",
            )

    def _is_paid(self, upload: Upload) -> bool:
        """Whether the ledger keeps a paid answer for this content."""
        kept = get(self.connection.dynamodb(), self.outputs.ledger_table_name, content_key(upload))
        return kept is not None and "body" in kept

    def _forget_payment(self, upload: Upload) -> bool:
        """Take a paid answer out of the ledger. False where there is none."""
        try:
            delete_if(
                self.connection.dynamodb(),
                self.outputs.ledger_table_name,
                content_key(upload),
                "attribute_exists(body)",
                {},
            )
        except ConditionFailedError:
            return False
        return True


def why_nothing_happens(uploads: QueueDepth, dead_letters: QueueDepth, intake: Intake) -> str:
    """Answer "why is nothing happening?" in one sentence."""
    if intake.paused_by:
        until = intake.paused_until or "`imagescribe resume`"
        return f"Paused by the {intake.paused_by} until {until}: {intake.paused_because}"
    states = {mapping.state for mapping in intake.mappings}
    if not states:
        return "Nothing is received: the describe function has no event source mapping. Deploy the stack again."
    if states & {"Disabled", "Disabling"}:
        return (
            "Nothing is received: the event source mapping is disabled. After a pause it is enabled within a minute; "
            "`imagescribe resume` enables it now."
        )
    if uploads.total and intake.failures:
        calls = "the last call failed" if intake.failures == 1 else f"the last {intake.failures} calls failed"
        return f"The endpoint fails: {calls}. Images wait and are tried again."
    if uploads.total:
        messages = "1 message waits or is" if uploads.total == 1 else f"{uploads.total} messages wait or are"
        return f"{messages} in work, at up to {intake.requests_per_minute:g} calls a minute."
    if dead_letters.total:
        letters = "1 dead letter is" if dead_letters.total == 1 else f"{dead_letters.total} dead letters are"
        return f"Nothing waits, but {letters} left: see `imagescribe list --status dead` and `imagescribe redrive`."
    return "Nothing waits: every upload has come to its end."


def _because(reading: Reading, spent_budget_usd: float) -> str:
    return f"the day's budget of ${spent_budget_usd:g} is spent" if spent_budget_usd else reading.paused_because


def _is_superseded_by(retried: Upload) -> Callable[[DeadLetter], bool]:
    """Return a test for the letters that tell of this image alone, save one that the retry itself has come to."""

    def is_superseded(letter: DeadLetter) -> bool:
        try:
            events = parse_body(letter.body)
        except MalformedMessageError:
            return False
        return bool(events) and all(
            event.image == retried.image and event.sequencer != retried.sequencer for event in events
        )

    return is_superseded


def _body(upload: Upload) -> str:
    """Return an event like S3's own, for an image that an operator asks for."""
    described: dict[str, Any] = {
        "key": upload.key,
        "size": upload.size,
        "etag": upload.etag,
        "sequencer": upload.sequencer,
    }
    if upload.version_id:
        described["version-id"] = upload.version_id
    return json.dumps(
        {
            "source": "imagescribe.retry",
            "detail-type": "Object Created",
            "time": upload.uploaded_at,
            "detail": {"bucket": {"name": upload.bucket}, "object": described},
        }
    )
