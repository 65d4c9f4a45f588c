"""3,000 objects that were in the bucket before, on the deployed stack: estimate, pace, fresh uploads, audit."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

import pytest

from imagescribe.backfill.jobs import Jobs
from imagescribe.backfill.selection import Selection
from imagescribe_ops.audit import audit as audits
from imagescribe_ops.audit.audit import Audit
from imagescribe_ops.backfill.backfills import Backfills
from imagescribe_ops.operations import Operations
from imagescribe_ops.simulator import RateLimit
from imagescribe_ops.simulator.limits import LimitKind
from imagescribe_ops.stack import QueueDepth
from tests.stack.conftest import Stacks
from tests.stack.deployment import Deployment, events_client
from tests.stack.pictures import picture

LATENCY_SECONDS = 0.5
FRESH_EACH_SECONDS = 4.0


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


def run(stacks: Stacks, objects: int, per_minute: float, seconds: float) -> list[tuple[str, str]]:
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
    fresh, deepest = _watch(deployment, operations, job.id, began + seconds)
    took = time.monotonic() - began
    paid = deployment.simulator.counts().billed - billed - len(fresh)
    standing = backfills.standing(job.id)
    seen.append(("job", f"{standing.job.phase} after {took:.0f} s: {paid} paid, queue at most {deepest} deep"))
    seen.append(("share of the limit used", f"{(paid + len(fresh)) / took * 60 / per_minute:.2f}"))
    if len(fresh) > 1:
        seen.append(("fresh upload to prompt, p95", f"{quantiles(fresh, n=20)[-1]:.1f} s of {len(fresh)}"))
    contents_paid = Counter(call.md5 for call in deployment.simulator.journal() if call.billed)
    seen.append(("contents paid twice", str(sum(count > 1 for count in contents_paid.values()))))
    began = time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audits, "UNDERWAY_SECONDS", -60.0)
        report = Audit(operations).run()
    seen.append(("audit", f"{report.sentence} {report.objects} objects in {time.monotonic() - began:.1f} s"))
    return seen


def _watch(deployment: Deployment, operations: Operations, job: str, deadline: float) -> tuple[list[float], int]:
    """Wait for the job's end, with an upload now and then; return how long these took, and the queue's depth."""
    jobs = Jobs(operations.connection.dynamodb(), operations.outputs.jobs_table_name)
    fresh: list[float] = []
    deepest, number, next_at = 0, 0, time.monotonic()
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
        deepest = max(deepest, QueueDepth.read(operations.connection, operations.outputs.backfill_queue_url).total)
        standing = jobs.get(job)
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
