"""A stack's backfills: what one would cost, beginning one, and how far each is."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from imagescribe.backfill.jobs import ACTIVE, Job, Jobs, Phase
from imagescribe.backfill.lister import UnreadRecordsError
from imagescribe.backfill.selection import Selection
from imagescribe.backfill.sources import ManifestError, source_of
from imagescribe.model.times import iso_utc
from imagescribe.settings import Renditions
from imagescribe_ops.audit.audit import described_prefix
from imagescribe_ops.aws.errors import readable_errors
from imagescribe_ops.aws.queue_depth import QueueDepth
from imagescribe_ops.backfill.estimate import Estimate, Estimator
from imagescribe_ops.display import safe
from imagescribe_ops.errors import NotFoundError, OperationError
from imagescribe_ops.operations import Operations

MAX_BUDGET_DAYS: Final = 30.0
SIDE_BY_SIDE: Final = 8
DEFAULT_MAX_IMAGE_BYTES: Final = 10_485_760


@dataclass(frozen=True, slots=True)
class Plan:
    """A backfill that may be begun.

    Attributes
    ----------
    usd
        What is paid.
    price_usd
        What a call costs; 0 where it is free.
    requests_per_minute
        The rate that is known now.
    budget_usd
        For a day; 0 where there is none.
    """

    job: Job
    estimate: Estimate
    usd: float
    requests_per_minute: float
    budget_usd: float
    price_usd: float

    @property
    def budget_days(self) -> float:
        """How many days' budgets it takes; 0 where there is no budget."""
        return self.usd / self.budget_usd if self.budget_usd else 0.0

    @property
    def seconds(self) -> float:
        """How long it takes, at the rate that is known and with the days' budgets."""
        at_rate = 60 * self.estimate.pays / self.requests_per_minute if self.requests_per_minute else 0.0
        return max(at_rate, 86_400 * max(0.0, self.budget_days - 1))


@dataclass(frozen=True, slots=True)
class Standing:
    """How a backfill stands.

    Attributes
    ----------
    waiting
        Messages in the backfill queue, of all jobs.
    requests_per_minute
        The rate that is known now.
    """

    job: Job
    waiting: int
    requests_per_minute: float

    @property
    def handled(self) -> int:
        """Images that are through."""
        return self.job.sent if self.job.phase is Phase.DONE else max(0, self.job.sent - self.waiting)

    @property
    def seconds_left(self) -> float | None:
        """How long it takes yet by the estimate; None where that is not known."""
        if self.job.phase is not Phase.RUNNING or not self.requests_per_minute:
            return None
        return 60 * max(0, self.job.expected - self.handled) / self.requests_per_minute


@dataclass(frozen=True)
class Backfills:
    """The backfills of one stack."""

    operations: Operations

    def plan(
        self,
        prefix: str,
        selection: Selection,
        *,
        manifest: str = "",
        most: int = 0,
        progress: Callable[[Estimate], None] = lambda _estimate: None,
    ) -> Plan:
        """Estimate a backfill.

        Raises
        ------
        OperationError
            The stack can't do it: with the reason.
        """
        operations, outputs = self.operations, self.operations.outputs
        jobs = self._jobs()
        key_prefix = operations.parameters.get("KeyPrefix", "")
        if selection.not_by and not selection.described_before:
            # Of now, so that what it describes itself is not described once more by a page that is read again.
            selection = replace(selection, described_before=iso_utc(operations.clock()))
        prefix = described_prefix(key_prefix, outputs.own_prefix(prefix))
        self._check_manifest(manifest)
        self._check_key()
        self._check_no_other(jobs, prefix, manifest)
        connection = operations.connection
        with readable_errors(), ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            s3 = connection.s3()
            estimator = Estimator(
                s3,
                connection.dynamodb(),
                outputs.bucket_name,
                key_prefix,
                outputs.catalog_table_name,
                outputs.ledger_table_name,
                self._max_bytes_as_they_are(),
                pool,
                progress,
            )
            try:
                source = source_of(s3, outputs.bucket_name, prefix, manifest)
                estimate = estimator.run(source, selection, most)
            except ManifestError as error:
                raise OperationError(
                    f"The manifest can't be used: {safe(str(error))}.",
                    "It takes S3 Inventory's manifest.json with CSV files, or a text file with a key on each line.",
                ) from error
            except UnreadRecordsError as error:
                raise OperationError(f"{error}.", "Try again in a minute.") from error
        intake = operations.intake()
        usd = round(estimate.pays * operations.price_usd, 3)
        job_id = datetime.fromtimestamp(operations.clock(), UTC).strftime("bf-%Y%m%d-%H%M%S")
        job = Job(job_id, Phase.RUNNING, prefix, manifest, selection, most, expected=estimate.pays, expected_usd=usd)
        return Plan(job, estimate, usd, intake.requests_per_minute, intake.budget_usd, operations.price_usd)

    def begin(self, plan: Plan) -> Job:
        """Begin a backfill: the stack's function goes on with it from now on.

        Raises
        ------
        OperationError
            The days' budgets are far too small for it, or another one began meanwhile.
        """
        if plan.budget_days > MAX_BUDGET_DAYS:
            raise OperationError(
                f"${plan.usd:,.2f} are {plan.budget_days:,.0f} days of the budget of ${plan.budget_usd:g}.",
                "Deploy with a larger DailyBudgetUsd, or take less of it with --limit or --prefix.",
            )
        jobs = self._jobs()
        self._check_no_other(jobs, plan.job.prefix, plan.job.manifest)
        with readable_errors():
            if not jobs.add(plan.job):
                raise OperationError("Another backfill began this second.", "Try again.")
            self._wake()
        return plan.job

    def all(self) -> list[Job]:
        """Return all there ever were, the newest first."""
        with readable_errors():
            return self._jobs().all()[::-1]

    def standing(self, job_id: str) -> Standing:
        """Return how one stands; of an empty id the newest.

        Raises
        ------
        NotFoundError
            There is none.
        """
        job = self._find(job_id)
        outputs = self.operations.outputs
        waiting = QueueDepth.read(self.operations.connection, outputs.backfill_queue_url).total
        return Standing(job, waiting, self.operations.intake().requests_per_minute)

    def pause(self, job_id: str) -> Job:
        """Let one stop until it is resumed."""
        return self._turn(job_id, Phase.PAUSED, Phase.RUNNING)

    def resume(self, job_id: str) -> Job:
        """Let one go on. It lists from its beginning again, since what waited in the queue went with the pause."""
        job = self._find(job_id)
        with readable_errors():
            if not self._jobs().resume(job.id):
                raise self._refusal(job.id, Phase.RUNNING, Phase.PAUSED)
            self._wake()
        return self._find(job.id)

    def cancel(self, job_id: str) -> Job:
        """End one for good."""
        return self._turn(job_id, Phase.CANCELLED, Phase.RUNNING, Phase.PAUSED)

    def _turn(self, job_id: str, phase: Phase, *from_phases: Phase) -> Job:
        job = self._find(job_id)
        with readable_errors():
            if not self._jobs().turn(job.id, phase, *from_phases):
                raise self._refusal(job.id, phase, *from_phases)
        return self._find(job.id)

    def _refusal(self, job_id: str, phase: Phase, *from_phases: Phase) -> OperationError:
        return OperationError(
            f"The backfill {job_id} is {self._find(job_id).phase}.",
            f"Only one that is {' or '.join(from_phases)} can become {phase}.",
        )

    def _find(self, job_id: str) -> Job:
        with readable_errors():
            jobs = self._jobs()
            job = jobs.get(job_id) if job_id else next(reversed(jobs.all()), None)
        if job is None:
            raise NotFoundError(
                f"There is no backfill {safe(job_id)}." if job_id else "There was no backfill yet.",
                "`imagescribe backfill list` shows all.",
            )
        return job

    def _jobs(self) -> Jobs:
        operations = self.operations
        if not operations.outputs.jobs_table_name:
            raise OperationError(
                f"The stack {operations.stack} knows no backfills.",
                "Deploy it once more, with this version's template.",
            )
        return Jobs(operations.connection.dynamodb(), operations.outputs.jobs_table_name, operations.clock)

    def _wake(self) -> None:
        """Let the function begin now, if it may be invoked from here; without this it does within a minute."""
        with suppress(BotoCoreError, ClientError):
            self.operations.connection.lambda_functions().invoke(
                FunctionName=self.operations.outputs.backfill_function_name, InvocationType="Event"
            )

    def _max_bytes_as_they_are(self) -> int:
        parameters = self.operations.parameters
        if parameters.get("Renditions") == Renditions.ALWAYS:
            return 0
        return int(parameters.get("MaxImageBytes") or DEFAULT_MAX_IMAGE_BYTES)

    def _check_manifest(self, manifest: str) -> None:
        place = self.operations.parameters.get("ManifestLocation", "")
        if manifest and not (place and manifest.removeprefix("s3://").startswith(place)):
            raise OperationError(
                f"The stack may not read {safe(manifest)}.",
                "Deploy it with ManifestLocation=BUCKET/PREFIX of the list" + (f" (now {place})." if place else "."),
            )

    def _check_key(self) -> None:
        with readable_errors():
            secret = self.operations.connection.secretsmanager().describe_secret(
                SecretId=self.operations.outputs.api_key_secret_arn
            )
        if not any("AWSCURRENT" in stages for stages in secret.get("VersionIdsToStages", {}).values()):
            raise OperationError("No API key is set, so nothing could be described.", "Run `imagescribe key set`.")

    def _check_no_other(self, jobs: Jobs, prefix: str, manifest: str) -> None:
        with readable_errors():
            active = [job for job in jobs.all() if job.phase in ACTIVE]
        for job in active:
            is_same_source = bool(job.manifest) == bool(manifest) and job.manifest == manifest
            if is_same_source and (job.prefix.startswith(prefix) or prefix.startswith(job.prefix)):
                raise OperationError(
                    f"The backfill {job.id} of {safe(job.prefix)!r} is {job.phase}.",
                    f"See `imagescribe backfill show {job.id}`; `cancel` ends it.",
                )
