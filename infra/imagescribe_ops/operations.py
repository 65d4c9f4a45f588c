"""What an operator does to a stack: pause, resume, redrive, retry, and ask why nothing is happening.

It works on what the functions work on, through their own modules, so that the two cannot disagree.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from imagescribe.aws.dead_letters import DeadLetters, NotDeletedError, Redriven
from imagescribe.aws.mappings import LONG_PAUSE_SECONDS, Mappings
from imagescribe.aws.s3 import Objects
from imagescribe.aws.sqs_batches import send_all
from imagescribe.model.answers import PRICE_USD
from imagescribe.model.dead_letter import DeadLetter
from imagescribe.model.events import Deletion, Upload, upload_body
from imagescribe.model.outcomes import Reason
from imagescribe.model.record import Status
from imagescribe.model.times import iso_utc
from imagescribe.stores.dynamodb import ConditionFailedError, delete_if, get
from imagescribe.stores.ledger import content_key
from imagescribe.stores.notebook import Notebook
from imagescribe.throttle import Throttle
from imagescribe.throttle import rate as rates
from imagescribe.throttle.breaker import UNTIL_CLOSED, OpenedBy
from imagescribe.throttle.item import ThrottleItem
from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.aws.errors import readable_errors
from imagescribe_ops.aws.stack import StackOutputs, read_deployed
from imagescribe_ops.call_back import call_back
from imagescribe_ops.catalog_view import CatalogView, ImageRecord
from imagescribe_ops.display import safe
from imagescribe_ops.errors import NotFoundError, OperationError
from imagescribe_ops.retries import is_superseded_by, upload_again
from imagescribe_ops.standing import Intake, StackStatus, read_intake, read_status

MAX_DEAD_LETTERS_REDRIVEN = 1_000
MAX_DEAD_LETTERS_READ = 500
MAX_RETRIED = 1_000
SIDE_BY_SIDE = 16


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
    """The operator's hand on one stack.

    Attributes
    ----------
    created_at
        When the stack was first deployed (ISO 8601); empty where that is not known.
    """

    connection: Connection
    stack: str
    outputs: StackOutputs
    parameters: Mapping[str, str]
    created_at: str = ""
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
        parameters, created_at = read_deployed(connection, stack)
        return cls(connection, stack, outputs, parameters, created_at)

    def pause(self, because: str, seconds: float | None = None) -> Intake:
        """Pause intake, until resumed or for some seconds, and return how it stands then.

        Messages wait; calls under way are finished. Where the pause is long, the mappings are disabled at once and not
        only by the recover function: a message that stays in the queue is there as soon as intake is resumed.
        """
        lasting = UNTIL_CLOSED if seconds is None else seconds
        with readable_errors():
            self._throttle().open(because, lasting)
            if lasting > LONG_PAUSE_SECONDS:
                self._notebook().note_intake(disabled=True, settled=False)  # the recover function ends what we can't
                if self._mappings().enable(enabled=False):
                    self._notebook().note_intake(disabled=True)
            return self._intake()

    @property
    def price_usd(self) -> float:
        """What a call costs, as the stack is told."""
        return float(self.parameters.get("PricePerCallUsd") or PRICE_USD)  # older stacks have no such parameter

    def resume(self) -> Intake:
        """End whatever pause there is, let messages through at once, and return how intake stands."""
        with readable_errors():
            self._throttle().close()
            # A mapping that is changing right now is left to the recover function, which goes by this note.
            self._notebook().note_intake(disabled=not self._mappings().enable(enabled=True))
            return self._intake()

    def resume_after_account_fault(self) -> bool:
        """End a pause that a fault of the account began. False where there is none."""
        with readable_errors():
            if self._throttle().state().breaker.opened_by is not OpenedBy.ACCOUNT:
                return False
        self.resume()
        return True

    def intake(self) -> Intake:
        """Return whether calls may start, and how many."""
        with readable_errors():
            return self._intake()

    def retryable(self, prefix: str, statuses: Sequence[Status]) -> tuple[list[ImageRecord], bool]:
        """Return records of these statuses under a prefix, `MAX_RETRIED` at the most, and whether there are more."""
        catalog = CatalogView(self.connection, self.outputs.catalog_table_name)
        bucket = self.outputs.bucket_name
        pages = [catalog.find(bucket=bucket, prefix=prefix, status=each, limit=MAX_RETRIED) for each in statuses]
        records = [record for page in pages for record in page.records]
        return records[:MAX_RETRIED], len(records) > MAX_RETRIED or any(page.more for page in pages)

    def retry_all(self, records: Sequence[ImageRecord]) -> int:
        """Describe images again, leaving out those that are gone, and return how many; their dead letters go."""
        objects = Objects(self.connection.s3())
        with readable_errors(), ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            heads = pool.map(lambda each: objects.head(Deletion(each.bucket, each.key, "", "")), records)
            uploads = [
                upload_again(record.bucket, record.key, head, record, record.uploaded_at)
                for record, head in zip(records, heads, strict=True)
                if head is not None
            ]
            bodies = [upload_body(upload, "imagescribe.retry") for upload in uploads]
            sent = send_all(self.connection.sqs(), self.outputs.upload_queue_url, bodies)
            with _reported_if_not_deleted():
                self._dead_letters().discard(is_superseded_by(uploads), MAX_DEAD_LETTERS_REDRIVEN)
        return sent

    def call_back(self) -> int:
        """Send images that were told to wait on their way at once, and return how many; see `call_back`."""
        return call_back(self.connection, self.outputs)

    def dead_letters(self) -> list[DeadLetter]:
        """Return dead letters, `MAX_DEAD_LETTERS_READ` at the most; they stay as they are."""
        with readable_errors():
            return self._dead_letters().read(MAX_DEAD_LETTERS_READ)

    def purge(self, is_meant: Callable[[DeadLetter], bool]) -> Counter[Reason]:
        """Delete dead letters for good, and return how many by reason. Their images' records stay `dead`."""
        with readable_errors(), _reported_if_not_deleted():
            return self._dead_letters().discard(is_meant, MAX_DEAD_LETTERS_REDRIVEN)

    def redrive(self, reason: Reason | None) -> Redriven:
        """Send dead letters back to the queues that they are of: those of one reason, or all."""
        with readable_errors(), _reported_if_not_deleted():
            return self._dead_letters().redrive(
                lambda each: reason is None or each.reason == reason, MAX_DEAD_LETTERS_REDRIVEN, is_operators=True
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
        self.check_is_ours(bucket, key)
        record = CatalogView(self.connection, self.outputs.catalog_table_name).get(image)
        with readable_errors():
            found = Objects(self.connection.s3()).head(Deletion(bucket, key, "", ""))
            if found is None:
                raise NotFoundError(
                    f"There is no object {safe(image)}.", "`imagescribe list` shows the images that are known."
                )
            if record and record.status == Status.DESCRIBED and not force:
                raise OperationError(
                    f"{safe(image)} is described already.",
                    f"--force describes it again and pays ${self.price_usd:g} for it."
                    if self.price_usd
                    else "--force describes it again, which is free.",
                )
            upload = upload_again(bucket, key, found, record, record.uploaded_at if record else iso_utc(self.clock()))
            pays_again = force and self._forget_payment(upload)
            reads_again = not pays_again and self._is_paid(upload)
            self.connection.sqs().send_message(
                QueueUrl=self.outputs.upload_queue_url, MessageBody=upload_body(upload, "imagescribe.retry")
            )
            with _reported_if_not_deleted():
                self._dead_letters().discard(is_superseded_by([upload]), MAX_DEAD_LETTERS_REDRIVEN)
        return Retried(image, pays_again, reads_again)

    def status(self) -> StackStatus:
        """Say how the stack stands, and why nothing is happening if nothing is."""
        with readable_errors():
            return read_status(self.connection, self.outputs, self._dead_letters(), self._intake(), self.clock())

    def _intake(self) -> Intake:
        budget_usd = self._number("DailyBudgetUsd")
        intake = read_intake(self.connection, self.outputs, self._throttle(), budget_usd, self.clock())
        return intake if self.price_usd else replace(intake, spent_today_usd=0.0, is_free=True)

    def _throttle(self) -> Throttle:
        table, ceiling = self.outputs.ledger_table_name, self._number("MaxRequestsPerMinute")
        return Throttle(
            ThrottleItem(self.connection.dynamodb(), table, lambda: rates.fresh(self.clock(), ceiling=ceiling)),
            ceiling=ceiling,
            budget_usd=self._number("DailyBudgetUsd"),
            price_usd=self.price_usd,
            clock=self.clock,
        )

    def _notebook(self) -> Notebook:
        return Notebook(self.connection.dynamodb(), self.outputs.ledger_table_name)

    def _mappings(self) -> Mappings:
        functions = self.connection.lambda_functions()
        listed = functions.list_event_source_mappings(FunctionName=self.outputs.describe_function_name)
        return Mappings(functions, [mapping["UUID"] for mapping in listed["EventSourceMappings"]])

    def _dead_letters(self) -> DeadLetters:
        return DeadLetters(
            self.connection.sqs(),
            self.outputs.dead_letter_queue_url,
            self.outputs.upload_queue_url,
            self.outputs.backfill_queue_url,
        )

    def _number(self, parameter: str) -> float:
        return float(self.parameters.get(parameter) or 0)

    def check_is_ours(self, bucket: str, key: str) -> None:
        """Refuse what the functions may not read: they would try it in vain until it is a dead letter.

        Raises
        ------
        OperationError
            The stack has nothing to do with it.
        """
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
            table, key = self.outputs.ledger_table_name, content_key(upload)
            delete_if(self.connection.dynamodb(), table, key, "attribute_exists(body)", {})
        except ConditionFailedError:
            return False
        return True


@contextmanager
def _reported_if_not_deleted() -> Iterator[None]:
    try:
        yield
    except NotDeletedError as error:
        raise OperationError(
            f"Not all is done: {error}.", "Run it again. What comes twice by it is not paid for twice."
        ) from error
