"""The two handlers, started as Lambda starts them."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import pytest

from tests.factories import stand_in
from tests.unit.conftest import REGION
from tests.unit.query.conftest import BUCKET, Library
from tests.unit.query.function_url import body, event


def start(name: str, library: Library, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for variable, value in {
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "IMAGESCRIBE_CATALOG_TABLE": library.table,
        "IMAGESCRIBE_INDEX_BUCKET": library.index_bucket,
        "IMAGESCRIBE_BUCKET": BUCKET,
        "IMAGESCRIBE_IMAGING_FUNCTION": "imaging",
        "IMAGESCRIBE_DERIVED_BUCKET": "derived",
    }.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.delitem(sys.modules, f"imagescribe.handlers.{name}", raising=False)
    return importlib.import_module(f"imagescribe.handlers.{name}")


def test_a_snapshot_is_made_when_it_is_time_and_whenever_it_is_asked_for(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.describe("1.png", "a boat")
    snapshot = start("snapshot", library, monkeypatch)
    schedule = {"source": "aws.events", "detail-type": "Scheduled Event"}
    assert snapshot.handler(schedule, stand_in(None))["snapshot"].startswith("1 images, ")
    assert snapshot.handler({"always": True}, stand_in(None))["snapshot"].startswith("1 images, ")


def test_a_request_is_answered(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    library.describe("1.png", "a boat")
    library.job.run()
    query = start("query", library, monkeypatch)
    answer = query.handler(event("/search", "q=boats"), stand_in(None))
    assert [image["key"] for image in body(answer)["images"]] == ["1.png"]
