"""`imagescribe backfill`: the estimate, what is refused, and what is begun, shown and ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner, Result

from imagescribe.backfill.jobs import Job, Phase
from imagescribe.backfill.selection import Selection
from imagescribe.model.record import Status
from imagescribe.model.tags import TagState
from imagescribe.model.times import iso_utc
from imagescribe_ops.aws import stack
from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.backfill import estimate as module
from imagescribe_ops.backfill.backfills import Backfills
from imagescribe_ops.commands.main import app
from imagescribe_ops.display import duration
from imagescribe_ops.operations import Operations
from tests.factories import make_picture, make_upload
from tests.unit.stack_in_moto import StackInMoto, described, make_stack

COLOURS = ["red", "green", "blue", "black", "white", "pink", "gold", "gray"]
WAKE = Backfills._wake


@pytest.fixture(scope="module", autouse=True)
def _nobody_is_woken(lent_clients: None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Backfills, "_wake", lambda _self: None)
        yield


def deploy(aws: boto3.Session, monkeypatch: pytest.MonkeyPatch, **parameters: str) -> StackInMoto:
    made = described(make_stack(aws, **parameters), monkeypatch)
    aws.client("secretsmanager").put_secret_value(SecretId=made.outputs["ApiKeySecretArn"], SecretString="key")
    return made


@pytest.fixture
def deployed(aws: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> StackInMoto:
    return deploy(aws, monkeypatch)


def run(*arguments: str, ends_with: int = 0, typed: str | None = None) -> Result:
    result = CliRunner().invoke(app, ["backfill", *arguments], input=typed)
    assert result.exit_code == ends_with, result.output
    return result


def answer(result: Result) -> Any:
    (line,) = result.stdout.splitlines()
    return json.loads(line)


def put(made: StackInMoto, key: str, content: bytes) -> str:
    return made.s3.put_object(Bucket=made.bucket, Key=key, Body=content)["ETag"].strip('"')


def fill(made: StackInMoto) -> None:
    """Eight pictures, one of them under three names, one described and copied; and what is none."""
    for number, colour in enumerate(COLOURS):
        put(made, f"{number}.png", make_picture(colour))
    put(made, "1-again.png", make_picture(COLOURS[1]))
    put(made, "1-once-more", make_picture(COLOURS[1]))
    known = made.put("known.png")
    made.record(known, Status.DESCRIBED)
    made.pay(known)
    made.put("known-copy.jpg")
    put(made, "notes.txt", b"no picture")
    put(made, "lies.jpg", b"no picture either")
    put(made, "empty.png", b"")
    put(made, "huge.webp", b"x" * 300_000)
    put(made, "folder/", b"")


def test_an_estimate_is_right_to_the_image(aws: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SOURCE_BYTES", 250_000)
    made = deploy(aws, monkeypatch, MaxImageBytes="1000")
    fill(made)
    said = answer(run("--json"))
    estimate = said["estimate"]
    assert said["job"] is None
    assert (estimate["objects"], estimate["described"], estimate["taken"]) == (16, 1, 15)
    assert estimate["kinds"] == {"png": 10, "other": 2, "jpeg": 2, "webp": 1}
    assert estimate["unfit"] == {"empty": 1, "too large": 1, "no image": 2}
    assert (estimate["paid"], estimate["duplicates"], estimate["pays"]) == (1, 1, 9)
    assert estimate["usd"] == pytest.approx(0.015 * 9)
    assert made.sent_to_backfill() == []
    assert made.jobs.all() == []


def test_a_sample_stands_for_more_than_is_looked_into(deployed: StackInMoto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOKED_INTO", 3)
    for number, colour in enumerate(COLOURS):
        put(deployed, f"{number}.png", make_picture(colour))
        put(deployed, f"{number}-copy.png", make_picture(colour))
    estimate = answer(run("--json"))["estimate"]
    assert (estimate["pays"], estimate["duplicates"]) == (8, 8)


def test_a_limit_and_a_prefix_narrow_the_estimate(deployed: StackInMoto) -> None:
    for number, colour in enumerate(COLOURS):
        put(deployed, f"{'in' if number % 2 else 'out'}/{number}.png", make_picture(colour))
    assert answer(run("--json", "--prefix", "in/"))["estimate"]["taken"] == 4
    assert answer(run("--json", "--limit", "3"))["estimate"]["taken"] == 3


def test_what_is_described_again_is_estimated_by_content(deployed: StackInMoto) -> None:
    for key in ("a.png", "b.png"):
        upload = deployed.put(key)
        deployed.record(upload, Status.DESCRIBED)
        deployed.pay(upload)
    estimate = answer(run("--json", "--older-than", "2030-01-01", "--force"))["estimate"]
    assert (estimate["taken"], estimate["duplicates"], estimate["pays"]) == (2, 1, 1)


def test_what_another_model_described_is_counted_with_its_price(deployed: StackInMoto) -> None:
    for colour, model in zip(COLOURS, ("old", "old", "new", None), strict=False):
        etag = put(deployed, f"{colour}.png", make_picture(colour))
        upload = make_upload(bucket=deployed.bucket, key=f"{colour}.png", etag=etag, size=len(make_picture(colour)))
        deployed.catalog.open(upload)
        deployed.catalog.describe(upload, "2026-11-01T00:00:00.000Z", "a cat", TagState.WRITTEN, 0, model=model)
        deployed.pay(upload)
    estimate = answer(run("--json", "--not-by", "new", "--force"))["estimate"]
    assert (estimate["described"], estimate["taken"], estimate["pays"], estimate["usd"]) == (4, 3, 3, 0.045)
    assert estimate["models"] == {"old": 2, "": 1}
    begun = run("--not-by", "new", "--force", "--yes").stdout
    assert "2 by old, 1 by an unknown model" in begun
    assert "3 images, $0.0" in begun
    (job,) = deployed.jobs.all()
    assert job.selection.not_by == "new"
    assert job.selection.described_before == iso_utc(deployed.clock())
    assert "new" in run("show").stdout


def test_what_a_model_of_ones_own_describes_is_free(aws: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    made = deploy(aws, monkeypatch, PricePerCallUsd="0", DailyBudgetUsd="0")
    put(made, "cat.png", make_picture())
    assert answer(run("--json"))["estimate"]["usd"] == 0
    shown = run("--yes").stdout
    assert "1 images, free" in shown
    assert "$" not in shown


def test_the_time_is_that_of_the_rate_or_of_the_budget(aws: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    made = deploy(aws, monkeypatch, DailyBudgetUsd="0.03")
    for number, colour in enumerate(COLOURS):
        put(made, f"{number}.png", make_picture(colour))
    estimate = answer(run("--json"))["estimate"]
    assert estimate["budget_days"] == 4
    assert estimate["seconds"] == 3 * 86_400
    assert "4.0 days of $0.03" in run("--yes").stdout


def test_a_backfill_begins_only_when_that_is_said(deployed: StackInMoto) -> None:
    put(deployed, "a.png", make_picture("red"))
    refused = run(ends_with=1)
    assert "--yes" in refused.stderr
    assert deployed.jobs.all() == []
    job = answer(run("--yes", "--json"))["job"]
    (kept,) = deployed.jobs.all()
    assert (kept.id, kept.phase, kept.expected) == (job["id"], Phase.RUNNING, 1)


def test_two_that_begin_in_the_same_second_are_two(deployed: StackInMoto) -> None:
    backfills = Backfills(deployed.operations())  # its clock stands still
    for folder in ("a/", "b/"):
        put(deployed, f"{folder}1.png", make_picture("red"))
        backfills.begin(backfills.plan(folder, Selection()))
    assert {job.prefix for job in deployed.jobs.all()} == {"a/", "b/"}


def test_a_job_that_begins_is_told_also_where_its_function_may_not_be_woken(
    deployed: StackInMoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The function comes to it by its schedule, and pays: whoever was told of an error would not know."""

    def invoke(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "lambda:InvokeFunction"}}, "Invoke")

    monkeypatch.setattr(Backfills, "_wake", WAKE)
    monkeypatch.setattr(Connection, "lambda_functions", lambda _: SimpleNamespace(invoke=invoke))
    monkeypatch.setattr(Operations, "intake", lambda _: SimpleNamespace(requests_per_minute=50.0, budget_usd=0.0))
    put(deployed, "one.png", make_picture("red"))
    assert answer(run("--yes", "--json"))["job"]["phase"] == "running"


def test_nothing_begins_where_there_is_nothing_to_do(deployed: StackInMoto) -> None:
    assert answer(run("--yes", "--json"))["job"] is None
    shown = run().stdout  # and nobody is asked
    assert "There is nothing to describe, so nothing was begun." in shown
    assert "to be paid for" not in shown


def test_without_a_key_nothing_is_estimated(aws: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_stack(aws)
    monkeypatch.setattr(stack, "describe_stack", lambda _connection, _stack: made.describe())
    assert "No API key is set" in run("--yes", ends_with=1).stderr


def test_another_buckets_prefix_is_refused(deployed: StackInMoto) -> None:
    assert "does not describe what is in the bucket other" in run("--prefix", "s3://other/x", ends_with=1).stderr
    run("--prefix", f"s3://{deployed.bucket}/x", "--json")


def test_a_budget_that_is_far_too_small_is_refused_with_the_days(
    aws: boto3.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = deploy(aws, monkeypatch, DailyBudgetUsd="0.002")
    for number, colour in enumerate(COLOURS):
        put(made, f"{number}.png", make_picture(colour))
    assert "60 days of the budget of $0.002" in run("--yes", ends_with=1).stderr
    assert made.jobs.all() == []


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.PAUSED])
def test_a_second_backfill_of_the_same_prefix_is_refused(deployed: StackInMoto, phase: Phase) -> None:
    deployed.jobs.add(Job("bf-1", phase, prefix="in/"))
    for prefix in ("in/", "in/2026/", ""):
        assert "bf-1" in run("--prefix", prefix, ends_with=1).stderr
    run("--prefix", "out/", "--json")
    deployed.jobs.turn("bf-1", Phase.CANCELLED, phase)
    run("--prefix", "in/", "--json")


def test_a_manifest_has_to_be_where_the_stack_may_read(aws: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    made = deploy(aws, monkeypatch)
    put(made, "lists/a.txt", b"a.png\nb.png\n")
    put(made, "a.png", make_picture("red"))
    address = f"s3://{made.bucket}/lists/a.txt"
    assert "ManifestLocation" in run("--manifest", address, ends_with=1).stderr
    made.parameters["ManifestLocation"] = f"{made.bucket}/lists/"
    assert answer(run("--manifest", address, "--json"))["estimate"]["pays"] == 1
    put(made, "lists/manifest.json", b"[]")
    assert "manifest can't be used" in run("--manifest", address.replace("a.txt", "manifest.json"), ends_with=1).stderr


@pytest.mark.parametrize(
    "options",
    [
        ("--force",),
        ("--older-than", "2026-01-01"),
        ("--not-by", "new"),
        ("--older-than", "2026-01-01", "--force", "--only", "stale"),
        ("--manifest", "list.txt"),
        ("--prefix", "\udcff"),
        ("--since", "yesterday"),
    ],
)
def test_options_that_make_no_sense_are_status_2(deployed: StackInMoto, options: tuple[str, ...]) -> None:
    run(*options, ends_with=2)


def test_a_job_is_shown_paused_resumed_and_cancelled(deployed: StackInMoto) -> None:
    deployed.jobs.add(Job("bf-1", prefix="in/", selection=Selection("2026-01-01"), sent=10, expected=20))
    shown = answer(run("show", "--json"))
    assert (shown["id"], shown["phase"], shown["handled"], shown["waiting"]) == ("bf-1", "running", 10, 0)
    assert shown["seconds_left"] > 0
    assert "in/" in run("show", "bf-1").stdout
    assert answer(run("pause", "--json"))["phase"] == "paused"
    assert "Only one that is running" in run("pause", ends_with=1).stderr
    assert answer(run("resume", "bf-1", "--json"))["phase"] == "running"
    assert "is cancelled" in run("cancel").stdout
    assert "bf-1 is cancelled" in run("resume", ends_with=1).stderr
    assert [job["phase"] for job in answer(run("list", "--json"))["jobs"]] == ["cancelled"]
    assert run("list").stdout.startswith("bf-1\tcancelled\t")


def test_a_job_that_is_not_there_is_told(deployed: StackInMoto) -> None:
    assert "no backfill bf-9" in run("show", "bf-9", ends_with=1).stderr
    assert "no backfill yet" in run("show", ends_with=1).stderr


@pytest.mark.parametrize(
    ("seconds", "text"), [(9, "9 s"), (600, "10 min"), (12_000, "3 h 20 min"), (864_000, "10.0 days")]
)
def test_a_time_is_told_in_units_that_fit(seconds: float, text: str) -> None:
    assert duration(seconds) == text
