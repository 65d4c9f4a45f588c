"""The recover function: every minute, resume after a pause, bring dead letters back, and measure how all stands.

The event is the schedule's and says nothing that matters here. The answer is for whoever invokes it by hand::

    {"mappings": "enabled", "paused": "", "redriven": {"transient": 3}}
"""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import boto3

from imagescribe.aws.clients import AWS_CONFIG
from imagescribe.aws.dead_letters import DeadLetters
from imagescribe.aws.eventbridge import Announcements
from imagescribe.aws.mappings import Mappings
from imagescribe.log import logger
from imagescribe.metrics import Metrics
from imagescribe.observer import Observer
from imagescribe.recovery import Recovery
from imagescribe.settings import Settings
from imagescribe.stores.catalog import Catalog
from imagescribe.stores.notebook import Notebook
from imagescribe.throttle import Throttle

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


def assemble(settings: Settings) -> Recovery:
    """Make what a run meets."""
    session = boto3.Session()
    dynamodb, sqs = session.client("dynamodb", config=AWS_CONFIG), session.client("sqs", config=AWS_CONFIG)
    mappings = os.environ["IMAGESCRIBE_EVENT_SOURCE_MAPPINGS"].split(",")
    backfill_queue_url = os.environ["IMAGESCRIBE_BACKFILL_QUEUE_URL"]
    notebook, catalog = Notebook(dynamodb, settings.ledger_table), Catalog(dynamodb, settings.catalog_table)
    return Recovery(
        throttle=Throttle.of_stack(dynamodb, settings),
        notebook=notebook,
        mappings=Mappings(session.client("lambda", config=AWS_CONFIG), mappings),
        dead_letters=DeadLetters(sqs, settings.dead_letter_queue_url, settings.upload_queue_url, backfill_queue_url),
        catalog=catalog,
        announcements=Announcements(session.client("events", config=AWS_CONFIG)),
        observer=Observer(
            sqs=sqs,
            catalog=catalog,
            notebook=notebook,
            settings=settings,
            backfill_queue_url=backfill_queue_url,
            metrics=Metrics(),
        ),
    )


_recovery = assemble(Settings.from_environment(os.environ))


def handler(_event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Do what is due each minute."""
    logger.append_keys(request_id=context.aws_request_id)
    recovered = asdict(_recovery.run())
    logger.info("recovered", extra=recovered)
    return recovered
