"""Objects are overwritten and deleted while they are being described."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from dataclasses import dataclass, field
from random import Random
from typing import Final

from imagescribe.pipeline import FRESH_SECONDS
from imagescribe_ops.local.stack import LocalCloud
from imagescribe_ops.simulator import JournalEntry
from tests.bench.faults.figures import Figures
from tests.bench.faults.judge import judge
from tests.bench.faults.pictures import Picture, pictures
from tests.bench.faults.rig import Rig, rigged
from tests.bench.faults.scale import Scale

CHANGES: Final = 500
SMALL_CHANGES: Final = 40
LATENCY_SECONDS: Final = 0.5
DELETED: Final = 0.3
MOVED: Final = 0.1
"""Shares of the changes: keys that are deleted, and keys that get a picture which another key has or had."""

SLACK_SECONDS: Final = 1.0
"""What a busy machine adds."""


@dataclass
class Racer:
    """Changes objects at random.

    Attributes
    ----------
    changed_at
        When each key was changed, in epoch seconds: right before and right after.
    """

    rig: Rig
    scale: Scale
    changed_at: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))

    def run(self, keys: list[str], changes: int) -> None:
        """Upload all keys, then change some of them at random, again and again, as calls are made."""
        random = Random(self.scale.seed)
        fresh = pictures(self.scale.seed)
        used: list[Picture] = [next(fresh) for _ in keys]
        self.rig.put_all(dict(zip(keys, used, strict=True)))
        for _ in range(changes):
            key = random.choice(keys)
            before = time.time()
            chance = random.random()
            if chance < DELETED and key in self.rig.objects:
                self.rig.delete(key)
            elif chance < DELETED + MOVED:
                self.rig.put(key, random.choice(used))
            else:
                used.append(next(fresh))
                self.rig.put(key, used[-1])
            self.changed_at[key].append((before, time.time()))
            time.sleep(random.uniform(0, LATENCY_SECONDS / 5))

    def explain(self, call: JournalEntry) -> str | None:
        """Say whether the object was changed on the way of the call, so that nobody knows which picture was described.

        The way begins with the look at the object, which is made again where it is old by the time of the call.
        """
        key = call.object_path.partition("/")[2]
        begun, ended = call.started_at - FRESH_SECONDS - SLACK_SECONDS, call.ended_at + SLACK_SECONDS
        hit = any(before <= ended and begun <= after for before, after in self.changed_at[key])
        return "the object changed between our look at it and the answer" if hit else None


def versioned(cloud: LocalCloud, scale: Scale) -> Figures:
    """Race in a bucket with versions, which was there before the stack."""
    bucket = f"races-versioned-{scale.seed}"
    s3 = cloud.connection.s3()
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    with rigged(cloud, "races-versioned", {"ExistingBucketName": bucket}, latency_s=LATENCY_SECONDS) as rig:
        _notify(rig)
        return _race(rig, scale, "a bucket with versions")


def unversioned(cloud: LocalCloud, scale: Scale) -> Figures:
    """Race in a bucket without versions, where a URL reads whatever is there by then."""
    with rigged(cloud, "races", latency_s=LATENCY_SECONDS) as rig:
        return _race(rig, scale, "a bucket without versions")


def _race(rig: Rig, scale: Scale, where: str) -> Figures:
    changes = SMALL_CHANGES if scale.is_small else CHANGES
    racer = Racer(rig, scale)
    racer.run([f"image-{number:04}.png" for number in range(scale.images)], changes)
    rig.settle(600)
    return judge(
        rig,
        f"{changes} overwrites and deletes racing the calls, in {where}",
        explain=racer.explain,
        may_pay_twice=True,
        may_leave_unpaid=True,
        notes=[f"{scale.images - len(rig.objects)} gone in the end"],
    )


def _notify(rig: Rig) -> None:
    """Let the bucket notify the upload queue: the emulator's EventBridge events lack the `version-id` of real ones."""
    url = rig.outputs.upload_queue_url
    attributes = rig.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn", "Policy"])["Attributes"]
    arn = attributes["QueueArn"]
    policy = json.loads(attributes["Policy"])
    allow = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy["Statement"].append(allow | {"Resource": arn})
    rig.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    rig.s3.put_bucket_notification_configuration(
        Bucket=rig.bucket,
        NotificationConfiguration={
            "QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}]
        },
    )
