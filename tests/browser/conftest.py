"""A stack with pictures in it, as moto plays it, its gallery, and a real browser that opens it.

The page, its server, the query function's code and the command's are the real ones; the deployed stack is opened in
`tests/stack/test_gallery.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from imagescribe.query.api import Api
from imagescribe.query.pages import Pages
from imagescribe.query.reader import CatalogReader
from imagescribe.query.search import Search
from imagescribe.query.snapshot import Snapshots
from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.gallery.server import RunningGallery
from tests import chromium
from tests.browser.pictures import Shelf
from tests.chromium import Visits
from tests.factories import stand_in
from tests.unit.conftest import REGION, make_bucket
from tests.unit.query.conftest import make_pictures
from tests.unit.query.function_url import serving
from tests.unit.stack_in_moto import Clients, make_stack

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

type Answer = Callable[[dict[str, Any]], dict[str, Any]]
"""The query function: an event in, its answer out."""

type Open = Callable[..., Page]


@pytest.fixture(scope="package", autouse=True)
def _browser_or_skip() -> None:
    chromium.needed()


@pytest.fixture(scope="package")
def browser(_browser_or_skip: None) -> Iterator[Browser]:
    with chromium.launched() as browser:
        yield browser


@pytest.fixture(scope="package")
def patch(_browser_or_skip: None) -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="package")
def shelf(patch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    """The stack, and what its functions would do in it."""
    with mock_aws():
        session = boto3.Session("testing", "testing", None, REGION)
        Clients.of_session(session).lend(patch)
        stack = make_stack(session, PricePerCallUsd="0.015")
        stack.clock.now = time.time()
        stack.outputs["DerivedBucketName"] = make_bucket(stack.s3)
        shelf = Shelf(stack)
        shelf.fill()
        yield shelf


@pytest.fixture(scope="package")
def api(shelf: Shelf, tmp_path_factory: pytest.TempPathFactory) -> Api:
    """What the query function answers with, over the stack's tables and buckets."""
    stack, table = shelf.stack, shelf.stack.outputs["CatalogTableName"]
    reader = CatalogReader(stack.dynamodb, table)
    search = Search(Snapshots(stack.s3, make_bucket(stack.s3)), reader, tmp_path_factory.mktemp("index"))
    pages = Pages(stack.dynamodb, table, stack.bucket, reader)
    return Api(search, pages, reader, make_pictures(stack.s3)[0])


@pytest.fixture(scope="package")
def answer(api: Api) -> Answer:
    """The query function."""
    app = api.resolver()
    return lambda event: app.resolve(event, stand_in(None))


@pytest.fixture(scope="package")
def gallery(shelf: Shelf, answer: Answer, patch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address to open."""
    stack = shelf.stack
    with serving(answer) as function_url:
        patch.setattr(Connection, "reachable", lambda _connection, _url: f"{function_url}/_aws/lambda-url/abc")
        stack.outputs["QueryUrl"] = "https://abc.lambda-url.eu-central-1.on.aws/"
        with RunningGallery(stack.operations()) as running:
            yield running.url


@pytest.fixture
def open_gallery(browser: Browser, gallery: str) -> Iterator[Open]:
    """Opens the gallery as a new visitor, and waits for its first pictures."""
    visits = Visits(browser)

    def visit(width: int = 1280, height: int = 800, **more: Any) -> Page:
        page = visits.visit(gallery, width, height, **more)
        page.locator(".card").first.wait_for()
        return page

    yield visit
    visits.close()
