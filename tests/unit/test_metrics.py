"""What is measured while images are described, as CloudWatch reads it from the log."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from imagescribe.metrics import Metric, Metrics
from imagescribe.model.answers import AccountFault, Answer, Limited, Rejected, Transient
from tests.emf import points
from tests.factories import make_description, make_picture
from tests.unit.stage import Stage, throttled

PICTURE = make_picture("teal")


class Log:
    """What was written since the last look."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def measured(self) -> dict[str, tuple[float, ...]]:
        lines = [line for line in self._capture.readouterr().out.splitlines() if '"_aws"' in line]
        assert len(lines) <= 1, "one line a batch"
        return {point.name: point.values for point in points(lines)}


@pytest.fixture
def log(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Log:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "my-stack")
    return Log(capfd)


def test_a_described_image_is_one_line_with_its_price_and_its_seconds(stage: Stage, log: Log) -> None:
    stage.upload(PICTURE)
    stage.clock.sleep(3)
    stage.invoke()
    measured = log.measured()
    (seconds,) = measured.pop("SecondsToPrompt")
    assert measured == {"Described": (1.0,), "PaidCalls": (1.0,), "SpentUsd": (0.015,)}
    assert 3 <= seconds < 10


def test_a_batch_is_one_line_with_the_seconds_of_each_image(stage: Stage, log: Log) -> None:
    for number in range(7):
        stage.upload(make_picture(f"#0000{number:02x}"))
    stage.invoke()
    measured = log.measured()
    assert measured["Described"] == (7.0,)
    assert len(measured["SecondsToPrompt"]) == 7


def test_a_copy_is_described_and_not_paid(stage: Stage, log: Log) -> None:
    stage.upload(PICTURE)
    stage.invoke()
    log.measured()
    stage.upload(PICTURE, "copy.png")
    stage.invoke()
    measured = log.measured()
    assert (measured["Described"], measured["Copies"]) == ((1.0,), (1.0,))
    assert "PaidCalls" not in measured


def test_a_redelivery_of_what_is_described_is_not_counted_again(stage: Stage, log: Log) -> None:
    upload = stage.upload(PICTURE)
    stage.invoke()
    log.measured()
    stage.tell(upload)
    stage.invoke()
    assert log.measured() == {}


@pytest.mark.parametrize(
    ("status", "measured"),
    [(429, "Limited"), (503, "TransientFailures"), (401, "AccountFaults"), (422, "Rejected")],
)
def test_a_failure_is_counted_by_its_class_and_costs_nothing(
    stage: Stage, log: Log, status: int, measured: str
) -> None:
    stage.upload(PICTURE)
    stage.endpoint.always_says(status)
    stage.invoke()
    assert log.measured() == {measured: (1.0,)}


def test_what_fails_on_our_side_is_told_from_the_endpoints_failures(stage: Stage, log: Log) -> None:
    stage.upload(PICTURE)
    stage.dynamodb.failing["batch_get_item"] = throttled()
    stage.invoke()
    assert log.measured() == {"OwnFailures": (1.0,)}


def test_a_batch_that_only_waits_writes_no_line(stage: Stage, log: Log) -> None:
    stage.pipeline.throttle.open("maintenance")
    stage.upload(PICTURE)
    stage.invoke()
    assert log.measured() == {}


@pytest.mark.parametrize(
    ("answer", "measured"),
    [
        (make_description(), {"PaidCalls": (1.0,), "SpentUsd": (0.015,)}),
        (make_description(body="<html>"), {"PaidCalls": (1.0,), "SpentUsd": (0.015,), "Unreadable": (1.0,)}),
        (Transient("time-out", may_be_billed=True), {"TransientFailures": (1.0,), "SpentUsd": (0.02,)}),
        (Transient("503"), {"TransientFailures": (1.0,)}),
        (Limited("429", None), {"Limited": (1.0,)}),
        (AccountFault("401"), {"AccountFaults": (1.0,)}),
        (Rejected("422"), {"Rejected": (1.0,)}),
    ],
    ids=["described", "unreadable", "timed-out", "transient", "limited", "account", "rejected"],
)
def test_an_answer_counts_as_what_the_budget_takes_it_for(
    answer: Answer, measured: dict[str, tuple[float, ...]], log: Log
) -> None:
    metrics = Metrics()
    metrics.answered(answer, price_usd=0.02)
    metrics.flush()
    assert log.measured() == measured


def test_the_dimension_is_the_stack(log: Log, capfd: pytest.CaptureFixture[str]) -> None:
    metrics = Metrics()
    metrics.add(Metric.DESCRIBED)
    metrics.flush()
    (point,) = points(capfd.readouterr().out.splitlines())
    assert (point.namespace, point.dimensions) == ("ImageScribe", (("service", "my-stack"),))


def test_what_threads_add_side_by_side_is_all_in_the_line(log: Log) -> None:
    metrics = Metrics()
    with ThreadPoolExecutor(8) as pool:
        for _ in range(2000):
            pool.submit(metrics.add, Metric.DESCRIBED)
    metrics.flush()
    assert log.measured() == {"Described": (2000.0,)}
    metrics.flush()
    assert log.measured() == {}
