"""The query function: search, and the API. It reads; all that it may write is its log.

The event is a Function URL's or an HTTP API's, in payload format 2.0::

    {"rawPath": "/search", "rawQueryString": "q=red%20boat&limit=10", "requestContext": {"http": {"method": "GET"}}, …}
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

from imagescribe.aws.clients import AWS_CONFIG
from imagescribe.aws.imaging import Imaging
from imagescribe.aws.s3 import CLIENT_CONFIG
from imagescribe.log import logger
from imagescribe.query.api import Api
from imagescribe.query.pages import Pages
from imagescribe.query.pictures import IMAGING_CONFIG, Pictures
from imagescribe.query.reader import CatalogReader
from imagescribe.query.search import Search
from imagescribe.query.sign_in import SignIn
from imagescribe.query.snapshot import Snapshots

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_table = os.environ["IMAGESCRIBE_CATALOG_TABLE"]
_index_bucket = os.environ["IMAGESCRIBE_INDEX_BUCKET"]
# The same place after a crash, so that what is left there does not add up. An emulator has one for all its stacks.
_place = Path(tempfile.gettempdir()) / _index_bucket
_place.mkdir(exist_ok=True)
_session = boto3.Session()
_dynamodb = _session.client("dynamodb", config=AWS_CONFIG)
_s3 = _session.client("s3", config=AWS_CONFIG.merge(CLIENT_CONFIG))
_catalog = CatalogReader(_dynamodb, _table)
_app = Api(
    search=Search(Snapshots(_s3, _index_bucket), _catalog, _place),
    pages=Pages(_dynamodb, _table, os.environ["IMAGESCRIBE_BUCKET"], _catalog),
    catalog=_catalog,
    pictures=Pictures(
        _s3,
        Imaging(lambda: _session.client("lambda", config=IMAGING_CONFIG), os.environ["IMAGESCRIBE_IMAGING_FUNCTION"]),
        os.environ["IMAGESCRIBE_DERIVED_BUCKET"],
    ),
    sign_in=SignIn(
        os.environ["IMAGESCRIBE_JWT_ISSUER"],
        os.environ["IMAGESCRIBE_JWT_CLIENT_ID"],
        os.environ["IMAGESCRIBE_JWT_AUDIENCE"],
    ),
).resolver()


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer a request."""
    logger.append_keys(request_id=context.aws_request_id)
    return _app.resolve(event, context)
