"""The way of published samples: a queue, and Powertools' BatchProcessor, one record after the other."""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import unquote_plus

import boto3
import requests
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

logger = Logger(service="sample")
processor = BatchProcessor(event_type=EventType.SQS)
s3 = boto3.client("s3", config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}))
table = boto3.resource("dynamodb").Table(os.environ["TABLE"])


def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return process_partial_response(event=event, record_handler=take, processor=processor, context=context)


def take(record: SQSRecord) -> None:
    for notice in json.loads(record.body).get("Records", []):
        describe(notice["s3"]["bucket"]["name"], unquote_plus(notice["s3"]["object"]["key"]))


def describe(bucket: str, key: str) -> None:
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=300)
    response = requests.post(
        os.environ["DESCRIBE_URL"], json={"image_file": url}, headers={"x-api-key": os.environ["API_KEY"]}, timeout=50
    )
    response.raise_for_status()
    prompt = response.json()["descriptions"][0]["text"]
    table.put_item(Item={"image": f"s3://{bucket}/{key}", "prompt": prompt})
    value = "".join(letter if letter.isalnum() or letter in " _.:/=+-@" else " " for letter in prompt)[:256]
    s3.put_object_tagging(Bucket=bucket, Key=key, Tagging={"TagSet": [{"Key": "prompt", "Value": value}]})
    logger.info("described", extra={"key": key})
