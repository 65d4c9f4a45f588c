"""The two handlers, started as Lambda starts them."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from imagescribe.metrics import Metric
from imagescribe.query import snapshot_job
from tests.emf import points
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
        "IMAGESCRIBE_JWT_ISSUER": "",
        "IMAGESCRIBE_JWT_CLIENT_ID": "",
        "IMAGESCRIBE_JWT_AUDIENCE": "",
    }.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.delitem(sys.modules, f"imagescribe.handlers.{name}", raising=False)
    return importlib.import_module(f"imagescribe.handlers.{name}")


CONTEXT = stand_in(SimpleNamespace(aws_request_id="request-1"))


def test_a_snapshot_is_made_when_it_is_time_and_whenever_it_is_asked_for(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.describe("1.png", "a boat")
    snapshot = start("snapshot", library, monkeypatch)
    schedule = {"source": "aws.events", "detail-type": "Scheduled Event"}
    assert snapshot.handler(schedule, CONTEXT)["snapshot"].startswith("1 images, ")
    assert snapshot.handler({"always": True}, CONTEXT)["snapshot"].startswith("1 images, ")


def test_a_request_is_answered(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    library.describe("1.png", "a boat")
    library.job.run()
    query = start("query", library, monkeypatch)
    answer = query.handler(event("/search", "q=boats"), CONTEXT)
    assert [image["key"] for image in body(answer)["images"]] == ["1.png"]


def test_the_age_of_the_snapshot_that_stands_is_measured_also_where_none_could_be_made(
    library: Library, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshot = start("snapshot", library, monkeypatch)
    job = replace(snapshot._job, clock=library.clock)
    monkeypatch.setattr(snapshot, "_job", job)
    snapshot.handler({}, CONTEXT)
    assert ages(capsys) == [60.0]
    library.clock.sleep(100_000)

    def fails(_path: Path, _documents: object, _complete_until: int) -> int:
        raise OSError("no space left")

    monkeypatch.setattr(snapshot_job, "build", fails)
    with pytest.raises(OSError, match="no space"):
        snapshot.handler({}, CONTEXT)
    assert ages(capsys) == [100_060.0]


def ages(capsys: pytest.CaptureFixture[str]) -> list[float]:
    found = points(line for line in capsys.readouterr().out.splitlines() if line.startswith("{"))
    return [value for point in found if point.name == Metric.SNAPSHOT_AGE_SECONDS for value in point.values]


@pytest.mark.parametrize("name", ["query", "snapshot"])
def test_what_is_logged_names_the_invocation(
    library: Library, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    module = start(name, library, monkeypatch)
    logged: list[dict[str, object]] = []
    monkeypatch.setattr(module.logger, "append_keys", lambda **keys: logged.append(keys))
    module.handler(event("/stats"), CONTEXT)
    assert logged == [{"request_id": "request-1"}]
