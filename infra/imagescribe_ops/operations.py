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

from imagescribe.answers import PRICE_USD
from imagescribe.catalog import Status
from imagescribe.dead_letters import DeadLetter, DeadLetters
from imagescribe.errors import MalformedMessageError
from imagescribe.items import ConditionFailedError, delete_if
from imagescribe.ledger import content_key
from imagescribe.mappings import Mappings
from imagescribe.meter import OPERATORS_PAUSE_ENDS_AT, Meter, PausedBy, Reading, utc_day
from imagescribe.objects import Objects
from imagescribe.outcomes import Reason
from imagescribe.times import iso_utc
from imagescribe.uploads import Upload, parse_body
from imagescribe_ops.catalog_view import CatalogView, StatusCounts
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
    """

    image: str
    pays_again: bool


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

    def pause(self, because: str, seconds: float | None = None) -> None:
        """Pause intake, until resumed or for some seconds. Messages wait; calls under way are finished."""
        with readable_errors():
            until = seconds if seconds is not None else OPERATORS_PAUSE_ENDS_AT - self.clock()
            self._meter().pause(PausedBy.OPERATOR, because, until)

    def resume(self) -> Intake:
        """End whatever pause there is, let messages through at once, and return how intake stands."""
        with readable_errors():
            meter = self._meter()
            meter.resume()
            if not self._mappings().enable(enabled=True):
                raise OperationError(
                    "The event source mapping is changing right now.", "Run `imagescribe resume` again in a minute."
                )
            meter.switch(off=False)
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
            The image is described already, and `force` is not set.
        """
        image = f"s3://{bucket}/{key}"
        record = CatalogView(self.connection, self.outputs.catalog_table_name).get(image)
        with readable_errors():
            found = Objects(self.connection.s3()).look(bucket, key)
            if found is None:
                raise NotFoundError(f"There is no object {image}.", "Check the name with `imagescribe list --prefix`.")
            if record and record.status == Status.DESCRIBED and not force:
                raise OperationError(
                    f"{image} is described already.", f"--force describes it again and pays ${PRICE_USD:g} for it."
                )
            # In the order of text this comes right after the event that the record is of, and before any later one.
            sequencer = f"{record.sequencer}0" if record else "0"
            uploaded_at = record.uploaded_at if record else iso_utc(self.clock())
            upload = Upload(bucket, key, found.version_id, found.etag, found.size, sequencer, uploaded_at)
            pays_again = force and self._forget_payment(upload)
            self.connection.sqs().send_message(QueueUrl=self.outputs.upload_queue_url, MessageBody=_body(upload))
            self._dead_letters().discard(_is_of(image), MOST_LETTERS_REDRIVEN)
        return Retried(image, pays_again)

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
            why=why_nothing_happens(uploads, intake),
        )

    def _intake(self) -> Intake:
        meter = self._meter()
        reading = meter.read()
        pause = meter.paused(reading)
        by_budget = pause is not None and reading.paused_until <= self.clock()
        mappings = self.connection.lambda_functions().list_event_source_mappings(
            FunctionName=self.outputs.describe_function_name
        )["EventSourceMappings"]
        return Intake(
            paused_by="" if pause is None else PausedBy.BUDGET if by_budget else reading.paused_by,
            paused_because=""
            if pause is None
            else "the day's budget is spent"
            if by_budget
            else reading.paused_because,
            paused_until="" if pause is None or pause.until >= OPERATORS_PAUSE_ENDS_AT else iso_utc(pause.until),
            requests_per_minute=round(60 / reading.paced.spacing, 1),
            failures=reading.failures,
            spent_today_usd=round(reading.spent_on(utc_day(self.clock())), 3),
            budget_usd=self._number("DailyBudgetUsd"),
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


def why_nothing_happens(uploads: QueueDepth, intake: Intake) -> str:
    """Answer "why is nothing happening?" in one sentence."""
    if intake.paused_by:
        until = f" until {intake.paused_until}" if intake.paused_until else " until `imagescribe resume`"
        return f"Paused by the {intake.paused_by}{until}: {intake.paused_because}"
    disabled = [mapping.state for mapping in intake.mappings if mapping.state not in ("Enabled", "Enabling")]
    if disabled or not intake.mappings:
        return (
            f"The event source mapping is {disabled[0].lower() if disabled else 'gone'}: "
            "`imagescribe resume` enables it, and a pause that is over does within a minute."
        )
    if not uploads.total:
        return "Nothing waits: every upload has come to its end."
    if intake.failures:
        return f"The endpoint fails: {intake.failures} calls since the last success; images wait and are tried again."
    return f"{uploads.total} messages wait or are in work, at {intake.requests_per_minute:g} calls a minute."


def _because(reading: Reading, *, by_budget: bool) -> str:
    return "the day's budget is spent" if by_budget else reading.paused_because


def _is_of(image: str) -> Callable[[DeadLetter], bool]:
    def is_of_image(letter: DeadLetter) -> bool:
        try:
            return any(event.image == image for event in parse_body(letter.body))
        except MalformedMessageError:
            return False

    return is_of_image


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
