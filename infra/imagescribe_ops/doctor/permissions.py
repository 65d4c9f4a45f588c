"""Which permission a request lacked that was refused."""

from __future__ import annotations

import re
from typing import Final

from botocore.exceptions import ClientError

REFUSALS: Final = frozenset(
    {
        "403",
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "KMS.AccessDeniedException",
        "KmsAccessDenied",
        "UnauthorizedOperation",
    }
)
_NAMED = re.compile(r"not authorized to perform:? ([a-z0-9-]+:[A-Za-z*]+)")

ACTIONS: Final = {
    "DeleteObject": "s3:DeleteObject",
    "DescribeAlarms": "cloudwatch:DescribeAlarms",
    "DescribeKey": "kms:DescribeKey",
    "DescribeRule": "events:DescribeRule",
    "DescribeStacks": "cloudformation:DescribeStacks",
    "DescribeTable": "dynamodb:DescribeTable",
    "FilterLogEvents": "logs:FilterLogEvents",
    "GetAccountSettings": "lambda:GetAccountSettings",
    "GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "GetFunctionConcurrency": "lambda:GetFunctionConcurrency",
    "GetFunctionConfiguration": "lambda:GetFunctionConfiguration",
    "GetItem": "dynamodb:GetItem",
    "GetKeyPolicy": "kms:GetKeyPolicy",
    "GetMetricStatistics": "cloudwatch:GetMetricStatistics",
    "GetQueueAttributes": "sqs:GetQueueAttributes",
    "GetSecretValue": "secretsmanager:GetSecretValue",
    "HeadBucket": "s3:ListBucket",
    "ListEventSourceMappings": "lambda:ListEventSourceMappings",
    "ListStackResources": "cloudformation:ListStackResources",
    "ListSubscriptionsByTopic": "sns:ListSubscriptionsByTopic",
    "ListTargetsByRule": "events:ListTargetsByRule",
    "PutObject": "s3:PutObject",
    "ReceiveMessage": "sqs:ReceiveMessage",
    "TestEventPattern": "events:TestEventPattern",
}
"""What is asked of AWS, and the permission that it takes: all that the checks, and a trial, need."""


def missing_permission(error: BaseException | None) -> str:
    """Return the permission for want of which AWS refused; empty where it was no such refusal."""
    if not isinstance(error, ClientError):
        return ""
    said = error.response.get("Error", {})
    if said.get("Code", "") not in REFUSALS:
        return ""
    named = _NAMED.search(said.get("Message", ""))
    if named:
        return named[1]
    if "kms" in f"{said['Code']} {said.get('Message', '')}".lower():  # the service could not decrypt in our name
        return "kms:Decrypt"
    return ACTIONS.get(error.operation_name, error.operation_name)
