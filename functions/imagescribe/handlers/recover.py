"""The recover function: every minute, resume after a pause and bring dead letters back.

The event is the schedule's and says nothing that matters here. The answer is for whoever invokes it by hand::

    {"mappings": "enabled", "paused": "", "redriven": {"transient": 3}}
"""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

from imagescribe.aws.clients import AWS_CONFIG
from imagescribe.aws.dead_letters import DeadLetters
from imagescribe.aws.mappings import Mappings
from imagescribe.meter import Meter
from imagescribe.recovery import recover
from imagescribe.settings import Settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger(service="imagescribe")

_settings = Settings.from_environment(os.environ)
_session = boto3.Session()
_meter = Meter.of_settings(_session.client("dynamodb", config=AWS_CONFIG), _settings)
_mappings = Mappings(
    _session.client("lambda", config=AWS_CONFIG), os.environ["IMAGESCRIBE_EVENT_SOURCE_MAPPINGS"].split(",")
)
_dead_letters = DeadLetters(
    _session.client("sqs", config=AWS_CONFIG), _settings.dead_letter_queue_url, _settings.upload_queue_url
)


def handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Do what is due each minute."""
    recovered = asdict(recover(_meter, _mappings, _dead_letters))
    logger.info("recovered", extra=recovered)
    return recovered
