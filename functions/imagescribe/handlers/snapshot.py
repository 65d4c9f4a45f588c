"""The snapshot function: every fifteen minutes, make the index of prompts afresh if enough is new.

The event is the schedule's; ``{"always": true}`` makes it in any case. The answer is for whoever invokes it by hand::

    {"snapshot": "1000000 images, 535048192 bytes"}
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from imagescribe.aws.clients import AWS_CONFIG
from imagescribe.log import logger
from imagescribe.metrics import Metric, Metrics
from imagescribe.query.reader import CatalogReader
from imagescribe.query.snapshot import Snapshots
from imagescribe.query.snapshot_job import SnapshotJob

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

# Nobody waits for a run: it lets S3 think about half a gigabyte, and a busy table about a page.
_PATIENT = AWS_CONFIG.merge(Config(read_timeout=60))

_table = os.environ["IMAGESCRIBE_CATALOG_TABLE"]
_dynamodb = boto3.client("dynamodb", config=_PATIENT)
_job = SnapshotJob(
    client=_dynamodb,
    table=_table,
    catalog=CatalogReader(_dynamodb, _table),
    snapshots=Snapshots(boto3.client("s3", config=_PATIENT), os.environ["IMAGESCRIBE_INDEX_BUCKET"]),
)


_metrics = Metrics()


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, str]:
    """Make the snapshot if it is time for a new one, and measure how old the one is that stands then."""
    logger.append_keys(request_id=context.aws_request_id)
    try:
        said = _job.run(always=event.get("always") is True)
    finally:  # also where none could be made: an old one is what somebody has to hear of
        age = _job.age_seconds()
        if age is not None:
            _metrics.add(Metric.SNAPSHOT_AGE_SECONDS, age)
            _metrics.flush()
    logger.info("snapshot", extra={"said": said})
    return {"snapshot": said}
