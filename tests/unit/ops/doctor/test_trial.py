"""A picture is led through the stack and taken away again, whatever becomes of it."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from imagescribe.model.record import Status
from imagescribe_ops.catalog_view import ImageRecord
from imagescribe_ops.display import Steps
from imagescribe_ops.doctor import trial
from imagescribe_ops.doctor.findings import State, Verdict
from imagescribe_ops.doctor.trial import Trial
from tests.factories import Clock
from tests.unit.ops.doctor.conftest import Make
from tests.unit.stack_in_moto import StackInMoto

RECORD = ImageRecord.of_item({"image": {"S": "s3://b/k"}, "status": {"S": "describing"}})
DESCRIBED = replace(RECORD, status=Status.DESCRIBED, prompt="a cat", tags="written")

type Lead = Callable[..., Verdict]


@pytest.fixture
def lead(examined: Make, made: StackInMoto, monkeypatch: pytest.MonkeyPatch) -> Lead:
    """Leads a picture through a stack whose catalog has one record after the other, the last one for good."""

    def lead_it(*records: ImageRecord | None, ends: bool = True, **parameters: str) -> Verdict:
        left = list(records)

        class Catalog:
            def __init__(self, *_: Any) -> None:
                pass

            def get(self, image: str) -> ImageRecord | None:
                bucket, _, key = image.removeprefix("s3://").partition("/")
                is_there = "Contents" in made.s3.list_objects_v2(Bucket=bucket, Prefix=key)
                if not is_there and ends:
                    return None
                return left.pop(0) if len(left) > 1 else left[0]

        monkeypatch.setattr(trial, "CatalogView", Catalog)
        monkeypatch.setattr(trial, "MAX_SECONDS", 6.0)
        clock = Clock()
        steps = Steps(Console(file=io.StringIO()))
        return Trial(examined(**parameters), steps, clock=clock, sleep=clock.sleep).run()

    return lead_it


@pytest.fixture(autouse=True)
def _nothing_left(made: StackInMoto) -> Any:
    yield
    listed = made.s3.list_object_versions(Bucket=made.bucket)
    assert "Versions" not in listed
    assert "DeleteMarkers" not in listed


def test_a_described_picture_tells_what_each_step_took(lead: Lead) -> None:
    verdict = lead(None, None, RECORD, RECORD, DESCRIBED)
    assert verdict.state is State.WELL
    assert verdict.found == (
        "uploaded in 0.0 s, seen 0.6 s later, described 0.3 s later, its record gone 0.0 s after its deletion. "
        "Its prompt: a cat"
    )


@pytest.mark.parametrize(
    ("records", "state", "says"),
    [
        ([None], "broken", "After 6 s nothing has seen the upload"),
        ([RECORD, None], "broken", "went away while it was described"),
        ([RECORD], "broken", "It is describing: no prompt after 6 s"),
        ([replace(RECORD, status=Status.WAITING, error="429: slow down")], "broken", "It is waiting: 429: slow down"),
        ([replace(RECORD, status=Status.REJECTED, error="422: unsafe")], "broken", "It is rejected: 422: unsafe"),
        ([replace(DESCRIBED, tags="denied")], "warning", "Its tag could not be written"),
    ],
)
def test_how_far_it_came_is_told(lead: Lead, records: list[ImageRecord | None], state: str, says: str) -> None:
    verdict = lead(*records)
    assert (verdict.state, says in verdict.found) == (state, True), verdict
    assert verdict.mend


def test_a_record_that_outlives_its_object_is_a_warning(lead: Lead) -> None:
    verdict = lead(RECORD, DESCRIBED, ends=False)
    assert (verdict.state, "the record of its deletion stays" in verdict.found) == (State.WARNING, True)


def test_an_interruption_leaves_nothing_in_a_bucket_with_versions(
    lead: Lead, made: StackInMoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.s3.put_bucket_versioning(Bucket=made.bucket, VersioningConfiguration={"Status": "Enabled"})

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Trial, "_until", interrupt)
    with pytest.raises(KeyboardInterrupt):
        lead(None)


def test_the_picture_is_a_new_one_each_time_and_goes_under_the_prefix(
    lead: Lead, made: StackInMoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    put: list[dict[str, Any]] = []
    put_object = made.s3.put_object

    def note(**asked: Any) -> Any:
        put.append(asked)
        return put_object(**asked)

    monkeypatch.setattr(made.s3, "put_object", note)
    for _ in range(2):
        lead(DESCRIBED, KeyPrefix="holiday photos/")
    first, second = put
    assert first["Key"].startswith("holiday photos/imagescribe-doctor-")
    assert first["Body"] != second["Body"]
    assert Image.open(io.BytesIO(first["Body"])).size == (256, 256)
