"""3,000 objects that were in the bucket before, on the deployed stack: estimate, pace, fresh uploads, audit.

Disturbed, the lister's process is killed five times while it works, and the queue is purged once under the job.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from random import Random
from statistics import quantiles
from threading import Event, Thread
from typing import Any, Self

import pytest

from imagescribe.backfill.jobs import Jobs
from imagescribe.backfill.selection import Selection
from imagescribe_ops.audit import audit as audits
from imagescribe_ops.audit.audit import Audit
from imagescribe_ops.audit.verdicts import Verdict
from imagescribe_ops.aws.queue_depth import QueueDepth
from imagescribe_ops.backfill.backfills import Backfills
from imagescribe_ops.operations import Operations
from imagescribe_ops.simulator import RateLimit
from imagescribe_ops.simulator.limits import LimitKind
from tests.bench.faults import processes
from tests.stack.conftest import Stacks
from tests.stack.deployment import Deployment, events_client
from tests.stack.pictures import picture

LATENCY_SECONDS = 0.5
FRESH_EACH_SECONDS = 4.0
LISTER_TIMEOUT_SECONDS = 20
KILLS = 5
PURGE_AT_DEPTH = 500
REPAIR_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many objects of each kind."""

    described: int
    new: int
    copies: int
    no_images: int

    @classmethod
    def of(cls, objects: int) -> Sizes:
        """Return the issue's shares: 300 described, 100 no images and 50 copies of 3,000."""
        described, no_images, copies = objects // 10, objects // 30, objects // 60
        return cls(described, objects - described - no_images - copies, copies, no_images)


def run(
    stacks: Stacks, objects: int, per_minute: float, seconds: float, *, disturbed: bool = False
) -> list[tuple[str, str]]:
    """Run it, for so many seconds at the most, and return what was seen."""
    sizes, seen = Sizes.of(objects), []
    settings = {"latency_s": LATENCY_SECONDS}
    deployment = stacks.with_own_simulator("bench-backfill", settings=settings, MaximumConcurrency="10")
    before = [picture() for _ in range(sizes.described)]
    keys = _put(deployment, {f"before/{number:05}.png": content for number, content in enumerate(before)})
    deployment.until_described(*keys, seconds=seconds)
    _rule(deployment, enabled=False)
    new = [picture() for _ in range(sizes.new)]
    contents = {f"new/{number:05}.png": content for number, content in enumerate(new)}
    contents |= {f"copies/{number:05}.png": new[number] for number in range(sizes.copies)}
    contents |= {f"notes/{number:05}.txt": f"no picture {number}".encode() for number in range(sizes.no_images)}
    _put(deployment, contents)
    _rule(deployment, enabled=True)
    deployment.simulator.configure(limit=RateLimit(LimitKind.TOKEN_BUCKET, per_minute))
    operations = Operations.of_stack(deployment.stack.connection, deployment.stack.name)
    backfills = Backfills(operations)
    began = time.monotonic()
    plan = backfills.plan("", Selection())
    seen.append(("estimate", f"{plan.estimate.pays} to be paid of {sizes.new}, {time.monotonic() - began:.1f} s"))
    billed = deployment.simulator.counts().billed
    job, began = backfills.begin(plan), time.monotonic()
    with ListerKiller(deployment, operations, job.id) if disturbed else nullcontext() as killer:
        fresh, deepest = _watch(deployment, operations, job.id, began + seconds, purges=disturbed)
    took = time.monotonic() - began
    paid = deployment.simulator.counts().billed - billed - len(fresh)
    standing = backfills.standing(job.id)
    seen.append(("job", f"{standing.job.phase} after {took:.0f} s: {paid} paid, queue at most {deepest} deep"))
    seen.append(("share of the limit used", f"{(paid + len(fresh)) / took * 60 / per_minute:.2f}"))
    if len(fresh) > 1:
        seen.append(("fresh upload to prompt, p95", f"{quantiles(fresh, n=20)[-1]:.1f} s of {len(fresh)}"))
    if killer is not None:
        seen.append(("lister killed at work", f"{killer.kills} times"))
        seen.append(("audit --repair", _repair(deployment, operations)))
    contents_paid = Counter(call.md5 for call in deployment.simulator.journal() if call.billed)
    seen.append(("distinct contents paid", f"{len(contents_paid)}, {sum(contents_paid.values())} times"))
    began = time.monotonic()
    with _impatient_audit():
        report = Audit(operations).run()
    seen.append(("audit", f"{report.sentence} {report.objects} objects in {time.monotonic() - began:.1f} s"))
    return seen


class ListerKiller:
    """Kills the lister's process again and again while it lists a job; use it as a context manager."""

    def __init__(self, deployment: Deployment, operations: Operations, job: str) -> None:
        self.kills = 0
        self._function = operations.outputs.backfill_function_name
        # A killed run's lease is as long as its invocation could be: shorter than the template's, or it takes minutes.
        deployment.lambda_functions.update_function_configuration(
            FunctionName=self._function, Timeout=LISTER_TIMEOUT_SECONDS
        )
        self._lambda = deployment.lambda_functions
        self._jobs = Jobs(operations.connection.dynamodb(), operations.outputs.jobs_table_name)
        self._job = job
        self._random = Random(1)
        self._stop = Event()
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while self.kills < KILLS and not self._stop.wait(0.05):
            job = self._jobs.get(self._job)
            if job is None or job.is_listed:
                return
            if job.lease_until > time.time() and job.holder:
                self._stop.wait(self._random.uniform(0, 0.4))
                pids = processes.workers(self._function)
                if pids and processes.kill(self._random.choice(pids)):
                    self.kills += 1
                    while not self._stop.wait(0.5) and self._is_held():
                        pass
            self._lambda.invoke(FunctionName=self._function, InvocationType="Event")

    def _is_held(self) -> bool:
        job = self._jobs.get(self._job)
        return job is not None and job.lease_until > time.time()


def _repair(deployment: Deployment, operations: Operations) -> str:
    """Audit with repair until nothing is missing any more, and say what it found at first."""
    with _impatient_audit():
        report = Audit(operations, repairs=True).run()
        deadline = time.monotonic() + REPAIR_SECONDS
        while time.monotonic() < deadline and Audit(operations).run().verdicts[Verdict.UNDERWAY]:
            time.sleep(2)
    return report.sentence


@contextmanager
def _impatient_audit() -> Iterator[None]:
    """Let the audit call wrong at once what it would give an hour."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audits, "UNDERWAY_SECONDS", -60.0)
        yield


def _watch(
    deployment: Deployment, operations: Operations, job: str, deadline: float, *, purges: bool
) -> tuple[list[float], int]:
    """Wait for the job's end, with an upload now and then; return how long these took, and the queue's depth."""
    jobs = Jobs(operations.connection.dynamodb(), operations.outputs.jobs_table_name)
    fresh: list[float] = []
    deepest, number, next_at = 0, 0, time.monotonic()
    queue_url = operations.outputs.backfill_queue_url
    open_uploads: dict[str, float] = {}
    while time.monotonic() < deadline:
        if time.monotonic() >= next_at:
            key, number, next_at = f"fresh/{number}.png", number + 1, time.monotonic() + FRESH_EACH_SECONDS
            deployment.put(key, picture())
            open_uploads[key] = time.monotonic()
        for key in list(open_uploads):
            record = deployment.record(key)
            if record and record["status"] == "described":
                fresh.append(time.monotonic() - open_uploads.pop(key))
        depth = QueueDepth.read(operations.connection, queue_url).total
        deepest = max(deepest, depth)
        standing = jobs.get(job)
        if purges and standing and standing.is_listed and depth <= PURGE_AT_DEPTH:
            deployment.sqs.purge_queue(QueueUrl=queue_url)
            purges = False
        if standing and standing.phase != "running":
            break
        if standing and standing.is_listed:
            deployment.lambda_functions.invoke(FunctionName=operations.outputs.backfill_function_name)
        time.sleep(0.3)
    return fresh, deepest


def _put(deployment: Deployment, contents: dict[str, bytes]) -> list[str]:
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda each: deployment.s3.put_object(Bucket=deployment.bucket, Key=each[0], Body=each[1]),
                contents.items(),
            )
        )
    return list(contents)


def _rule(deployment: Deployment, *, enabled: bool) -> None:
    events = events_client(deployment.stack.cloud)
    change: Callable[..., Any] = events.enable_rule if enabled else events.disable_rule
    for rule in events.list_rules()["Rules"]:
        if deployment.stack.name in rule["Name"] and "Upload" in rule["Name"]:
            change(Name=rule["Name"])


def say(lines: list[tuple[str, str]]) -> None:
    """Print what was seen."""
    for name, value in lines:
        sys.stdout.write(f"{name:30} {value}\n")
