"""The backfill function: every minute, go on with the jobs that list the bucket.

The event is the schedule's and says nothing that matters here; `imagescribe backfill` invokes it too, so that a job
begins at once. The answer is for whoever invokes it by hand::

    {"bf-20261126-093000": "3000 listed, 2650 sent"}
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import boto3

from imagescribe.aws.clients import AWS_CONFIG
from imagescribe.aws.s3 import CLIENT_CONFIG
from imagescribe.backfill.jobs import Jobs
from imagescribe.backfill.lister import Lister
from imagescribe.log import logger
from imagescribe.settings import Settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SIDE_BY_SIDE = 10

_settings = Settings.from_environment(os.environ)
_session = boto3.Session()
_dynamodb = _session.client("dynamodb", config=AWS_CONFIG)
_lister = Lister(
    jobs=Jobs(_dynamodb, os.environ["IMAGESCRIBE_JOBS_TABLE"]),
    s3=_session.client("s3", config=AWS_CONFIG.merge(CLIENT_CONFIG)),
    sqs=_session.client("sqs", config=AWS_CONFIG),
    dynamodb=_dynamodb,
    bucket=os.environ["IMAGESCRIBE_BUCKET"],
    key_prefix=os.environ["IMAGESCRIBE_KEY_PREFIX"],
    queue_url=os.environ["IMAGESCRIBE_BACKFILL_QUEUE_URL"],
    catalog_table=_settings.catalog_table,
    ledger_table=_settings.ledger_table,
    pool=ThreadPoolExecutor(SIDE_BY_SIDE),
)


def handler(_event: dict[str, Any], context: LambdaContext) -> dict[str, str]:
    """Go on with all jobs."""
    logger.append_keys(request_id=context.aws_request_id)
    ends_at = time.time() + context.get_remaining_time_in_millis() / 1000
    told = _lister.run(context.aws_request_id, ends_at)
    if told:
        logger.info("backfill", extra={"jobs": told})
    return told
