"""What taking a stack away leaves, and why: its template retains what can't be made again, and what holds data."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.aws.errors import readable_errors
from imagescribe_ops.aws.queue_depth import QueueDepth
from imagescribe_ops.deployment.changes import counted, kind_of
from imagescribe_ops.template import read_template

BUCKET_ONLY: Final = 3
"""The slashes of ``s3://bucket/name``: beside such a name may be what is somebody else's."""

_WHY: Final = {
    "Bucket": "your images",
    "CatalogTable": "the prompts, a record for each image",
    "LedgerTable": "what was paid for; a new stack pays for the same images again, unless it adopts this",
    "JobsTable": "how far each backfill got",
    "UploadQueue": "uploads that wait for their description",
    "BackfillQueue": "images of backfills that wait",
    "DeadLetterQueue": "what was given up",
    "IndexBucket": "the search index, which can be made again; CloudFormation deletes no bucket with something in it",
    "DerivedBucket": "thumbnails, which expire by themselves; CloudFormation deletes no bucket with something in it",
}


@dataclass(frozen=True, slots=True)
class Kept:
    """A resource that stays when its stack goes.

    Attributes
    ----------
    name, resource_type, physical_id
        In the template, CloudFormation's, and the account's.
    messages
        How many a queue holds; None for anything else.
    """

    name: str
    resource_type: str
    physical_id: str
    messages: int | None = None

    def line(self) -> str:
        """Say what it is, and why it stays."""
        why = _WHY.get(self.name, "the template retains it")
        waiting = f" ({self.messages:,} messages)" if self.messages is not None else ""
        return f"{kind_of(self.resource_type)} {self.physical_id.rpartition('/')[2]}: {why}{waiting}"

    def deletion(self, options: str) -> str:
        """Return the command that deletes it by hand; empty where there is none to give."""
        name = shlex.quote(self.physical_id)
        command = {
            "AWS::S3::Bucket": f"aws s3 rb --force s3://{name}",
            "AWS::DynamoDB::Table": f"aws dynamodb delete-table --table-name {name}",
            "AWS::SQS::Queue": f"aws sqs delete-queue --queue-url {name}",
        }.get(self.resource_type, "")
        return command and command + options

    def as_json(self) -> dict[str, object]:
        """Return it for ``--json``."""
        return {
            "resource": self.name,
            "type": self.resource_type,
            "physical_id": self.physical_id,
            "why": _WHY.get(self.name, ""),
        }


@dataclass(frozen=True, slots=True)
class Removal:
    """What becomes of a stack's resources.

    Attributes
    ----------
    kept
        Those that stay.
    going
        What kinds those are that go.
    code
        Where the functions' zips stay, in the bucket that deployments put them into; empty where that is not known.
    """

    kept: Sequence[Kept]
    going: Sequence[str]
    code: str = ""

    def summary(self) -> str:
        """Count what goes."""
        return counted(self.going)


def removal(connection: Connection, stack: str) -> Removal:
    """Look what a stack has, and what of it its own template retains.

    Raises
    ------
    OperationError
        AWS can't be asked.
    """
    with readable_errors():
        client = connection.cloudformation()
        body: Any = client.get_template(StackName=stack, TemplateStage="Original")["TemplateBody"]
        pages = client.get_paginator("list_stack_resources").paginate(StackName=stack)
        resources = [each for page in pages for each in page["StackResourceSummaries"]]
    template = read_template(body) if isinstance(body, str) else body
    declared: Mapping[str, Any] = template.get("Resources") or {}
    retained = {
        name for name, resource in declared.items() if str(resource.get("DeletionPolicy", "")).startswith("Retain")
    }
    there = [each for each in resources if each["ResourceStatus"] != "DELETE_COMPLETE" and "PhysicalResourceId" in each]
    kept = [
        Kept(each["LogicalResourceId"], each["ResourceType"], each["PhysicalResourceId"])
        for each in there
        if each["LogicalResourceId"] in retained
    ]
    order = list(_WHY)
    kept.sort(key=lambda each: order.index(each.name) if each.name in order else len(order))
    return Removal(
        [_with_messages(connection, each) for each in kept],
        [kind_of(each["ResourceType"]) for each in there if each["LogicalResourceId"] not in retained],
        _code(declared),
    )


def _code(declared: Mapping[str, Any]) -> str:
    """Return where `sam package` has put the functions; they are named by their content below that."""
    uris = ((resource.get("Properties") or {}).get("CodeUri") for resource in declared.values())
    first = next((uri for uri in uris if isinstance(uri, str) and uri.startswith("s3://")), "")
    return f"{first.rpartition('/')[0]}/" if first.count("/") > BUCKET_ONLY else ""


def _with_messages(connection: Connection, kept: Kept) -> Kept:
    if kept.resource_type != "AWS::SQS::Queue":
        return kept
    depth = QueueDepth.read(connection, kept.physical_id)
    return Kept(kept.name, kept.resource_type, kept.physical_id, depth.total)
