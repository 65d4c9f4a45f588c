"""More messages than contents: events that come several times, and one picture under many keys."""

from __future__ import annotations

import json
from random import Random
from typing import Final

from imagescribe_ops.local.stack import LocalCloud
from tests.bench.faults.figures import Figures
from tests.bench.faults.judge import judge
from tests.bench.faults.pictures import picture
from tests.bench.faults.rig import Rig, rigged
from tests.bench.faults.scale import Scale
from tests.stack.deployment import events_client

DELIVERIES: Final = 3
KEYS_OF_ONE_PICTURE: Final = 50


def delivered_thrice(cloud: LocalCloud, scale: Scale) -> Figures:
    """Put each event on the queue twice more, in any order, while it is being worked on."""
    with rigged(cloud, "thrice") as rig:
        tap = _tap(cloud, rig)
        rig.put_all(scale.objects())
        bodies: list[str] = []
        rig.until(lambda: len(_drain(rig, tap, bodies)) >= scale.images, 60)
        copies = bodies * (DELIVERIES - 1)
        Random(scale.seed).shuffle(copies)
        for body in copies:
            rig.send(body)
        rig.settle(600)
        notes = [f"{len(bodies) + len(copies)} deliveries of {len(bodies)} events"]
        broken = [] if len(bodies) == scale.images else [f"only {len(bodies)} events were seen"]
        return judge(rig, "every event delivered three times, shuffled", notes=notes, broken=broken)


def same_picture(cloud: LocalCloud, scale: Scale) -> Figures:
    """Upload one picture under fifty keys at once, and another one likewise, until there are enough images."""
    each = min(KEYS_OF_ONE_PICTURE, scale.images)
    with rigged(cloud, "same-picture") as rig:
        pictures = [picture(scale.seed, number) for number in range(scale.images // each)]
        rig.put_all(
            {f"{number}/copy-{copy}.png": pictures[number] for number in range(len(pictures)) for copy in range(each)}
        )
        rig.settle(600)
        notes = [f"{len(pictures)} pictures under {each} keys each"]
        return judge(rig, f"the same picture under {each} keys at once", notes=notes)


def _tap(cloud: LocalCloud, rig: Rig) -> str:
    """Let EventBridge send what it sends to the upload queue to a queue of ours as well; return its URL."""
    url = rig.sqs.create_queue(QueueName=f"{rig.stack.name}-tap")["QueueUrl"]
    arn = rig.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allow = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow | {"Resource": arn}]})
    rig.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    events = events_client(cloud)
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [rig.bucket]}},
    }
    events.put_rule(Name=f"{rig.stack.name}-tap", EventPattern=json.dumps(pattern))
    events.put_targets(Rule=f"{rig.stack.name}-tap", Targets=[{"Id": "tap", "Arn": arn}])
    return url


def _drain(rig: Rig, url: str, bodies: list[str]) -> list[str]:
    """Add what is on a queue to a list."""
    while messages := rig.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            bodies.append(message["Body"])
            rig.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return bodies
