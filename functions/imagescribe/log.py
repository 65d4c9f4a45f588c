"""The one logger. A message is constant, what varies stands in fields; no key and no presigned URL is ever one."""

from aws_lambda_powertools import Logger

logger = Logger(service="imagescribe")
