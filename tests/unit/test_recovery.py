"""What happens every minute without a person: intake follows the pause, and dead letters come back when all is well."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from imagescribe.aws.clients import AWS_CONFIG, MAX_SIDE_BY_SIDE
from imagescribe.aws.mappings import LONG_PAUSE_SECONDS
from imagescribe.model.answers import Transient
from imagescribe.model.dead_letter import MAX_REDRIVES
from imagescribe.model.events import Upload
from imagescribe.recovery import MAX_REDRIVES_A_RUN, Recovered
from imagescribe.stores.dynamodb import update_if
from imagescribe.throttle import Permit
from tests import event_schemas, sam_template
from tests.factories import eventbridge_body, make_picture
from tests.unit.minutes import Minutes, bury
from tests.unit.stage import Stage, aws_error
from tests.unit.stages import load_function

PICTURE = make_picture("teal")


@pytest.fixture
def minutes(stage: Stage) -> Minutes:
    return Minutes(stage)


# ── Intake follows the pause ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_minute_in_which_all_is_well_changes_nothing(minutes: Minutes) -> None:
    assert minutes.run() == Recovered()
    assert minutes.lambda_.updates == 0


def test_a_short_pause_leaves_the_mappings_alone(minutes: Minutes) -> None:
    minutes.pause(LONG_PAUSE_SECONDS)
    assert minutes.run() == Recovered(paused="paused by the account: 402: no credits")
    assert minutes.lambda_.updates == 0


def test_a_long_pause_disables_the_mappings_and_its_end_enables_them_each_once(minutes: Minutes) -> None:
    minutes.pause(600)
    assert minutes.run().mappings == "disabled"
    assert minutes.lambda_.enabled == {"mapping-1": False, "mapping-2": False}
    for _ in range(9):
        assert minutes.run().mappings == ""
    assert minutes.lambda_.updates == 2
    assert minutes.run() == Recovered(mappings="enabled")
    assert minutes.lambda_.enabled == {"mapping-1": True, "mapping-2": True}
    assert minutes.run() == Recovered()
    assert minutes.lambda_.updates == 4


def test_while_the_mappings_are_off_a_backlog_costs_no_invocation_and_the_first_image_after_is_the_probe(
    minutes: Minutes,
) -> None:
    stage = minutes.stage
    minutes.pause(600)
    minutes.run()
    uploads = [stage.upload(make_picture(colour)) for colour in ("red", "green", "blue")]
    while minutes.run().mappings != "enabled":
        assert stage.endpoint.calls == []
        assert [stage.record(upload) for upload in uploads] == [None] * 3
    minutes.run()
    minutes.run()
    assert [stage.standing(upload)["status"] for upload in uploads] == ["described"] * 3
    assert stage.throttle_state().breaker.opened_by == ""


def test_a_mapping_that_is_being_changed_right_now_is_tried_again_the_next_minute(minutes: Minutes) -> None:
    minutes.stage.pipeline.throttle.open("maintenance")
    minutes.lambda_.busy = {"mapping-1"}
    assert minutes.run().mappings == ""
    assert minutes.lambda_.enabled == {"mapping-1": True, "mapping-2": False}
    minutes.lambda_.busy = set()
    assert minutes.run().mappings == "disabled"

    minutes.stage.pipeline.throttle.close()
    minutes.lambda_.busy = {"mapping-2"}
    assert minutes.run().mappings == ""
    minutes.lambda_.busy = set()
    assert minutes.run().mappings == "enabled"
    assert minutes.lambda_.enabled == {"mapping-1": True, "mapping-2": True}


def test_mappings_of_which_one_was_disabled_before_the_pause_was_over_are_all_enabled_after_it(
    minutes: Minutes,
) -> None:
    minutes.pause(LONG_PAUSE_SECONDS + 30)  # in the next minute it is no long pause any more
    minutes.lambda_.busy = {"mapping-1"}
    minutes.run()
    assert minutes.lambda_.enabled == {"mapping-1": True, "mapping-2": False}
    minutes.lambda_.busy = set()
    for _ in range(3):
        minutes.run()
    assert minutes.lambda_.enabled == {"mapping-1": True, "mapping-2": True}


def test_any_other_failure_of_lambda_is_not_hidden_and_what_was_disabled_before_it_is_enabled_again(
    minutes: Minutes,
) -> None:
    minutes.pause(LONG_PAUSE_SECONDS + 30)
    minutes.lambda_.failing = {"mapping-2": aws_error("TooManyRequestsException")}
    with pytest.raises(ClientError, match="TooManyRequests"):
        minutes.run()
    assert minutes.lambda_.enabled == {"mapping-1": False, "mapping-2": True}
    minutes.lambda_.failing = {}
    minutes.stage.clock.sleep(180)
    minutes.run()
    assert minutes.lambda_.enabled == {"mapping-1": True, "mapping-2": True}


# ── Dead letters come back when all is well ──────────────────────────────────────────────────────────────────────────


def bury_upload(stage: Stage, colour: str) -> Upload:
    """Upload a picture whose message ends on the dead-letter queue without a call."""
    upload = stage.upload(make_picture(colour))
    queue = stage.sqs.client.queue(stage.upload_queue_url)
    bury(stage, queue.pop().body, "transient")
    return upload


def test_letters_that_heal_come_back_and_the_others_stay(minutes: Minutes) -> None:
    for reason in ("transient", "transient", "aws", "crash", "unreadable", "malformed"):
        bury(minutes.stage, reason, reason)
    assert minutes.run() == Recovered(redriven={"transient": 2, "aws": 1, "crash": 1})
    assert sorted(each.body for each in minutes.stage.take_dead_letters()) == ["malformed", "unreadable"]


def test_no_more_than_so_many_come_back_in_one_minute(minutes: Minutes) -> None:
    for number in range(MAX_REDRIVES_A_RUN + 5):
        bury(minutes.stage, str(number), "transient")
    assert minutes.run().redriven == {"transient": MAX_REDRIVES_A_RUN}
    minutes.stage.sqs.client.queue(minutes.stage.upload_queue_url).clear()
    assert minutes.run().redriven == {"transient": 5}


def test_nothing_comes_back_while_intake_is_paused(minutes: Minutes) -> None:
    bury(minutes.stage, "cat", "transient")
    minutes.pause(90)
    assert minutes.run().redriven == {}
    assert minutes.run().redriven == {}
    assert len(minutes.stage.take_dead_letters()) == 1


def test_after_a_pause_one_letter_is_the_probe_and_the_others_follow_when_it_is_well(minutes: Minutes) -> None:
    stage = minutes.stage
    uploads = [bury_upload(stage, f"#00ff{number:02x}") for number in range(3)]
    minutes.pause(30)
    stage.clock.sleep(31)
    assert minutes.run().redriven == {"transient": 1}
    assert minutes.run().redriven == {"transient": 2}
    minutes.run()
    assert {stage.standing(upload)["status"] for upload in uploads} == {"described"}


def test_where_the_last_call_failed_one_letter_shows_whether_the_endpoint_is_well(minutes: Minutes) -> None:
    stage = minutes.stage
    uploads = [bury_upload(stage, f"#ff00{number:02x}") for number in range(3)]
    (permit,) = stage.pipeline.throttle.acquire()
    assert isinstance(permit, Permit)
    stage.pipeline.throttle.record(permit, Transient("503"))
    assert minutes.run().redriven == {"transient": 1}  # no other message is left to show it
    assert minutes.run().redriven == {"transient": 2}
    minutes.run()
    assert {stage.standing(upload)["status"] for upload in uploads} == {"described"}


def test_an_image_that_always_fails_comes_back_three_times_and_then_stays_for_a_person(minutes: Minutes) -> None:
    stage = minutes.stage
    upload = stage.upload(PICTURE)
    stage.endpoint.always_says(503)
    redriven = sum(sum(minutes.run().redriven.values()) for _ in range(360))
    assert redriven == MAX_REDRIVES
    assert len(stage.endpoint.calls) == (1 + MAX_REDRIVES) * stage.pipeline.settings.max_attempts
    assert stage.standing(upload)["status"] == "dead"
    (dead_letter,) = stage.take_dead_letters()
    assert (dead_letter.attributes["reason"], dead_letter.attributes["redrives"]) == ("transient", "3")


def test_a_single_image_outlasts_an_outage_of_four_hours(minutes: Minutes) -> None:
    stage = minutes.stage
    upload = stage.upload(PICTURE)
    stage.endpoint.always_says(503)
    for _ in range(240):
        minutes.run()
    stage.endpoint.always_says(None)
    for _ in range(60):
        minutes.run()
    assert stage.standing(upload)["status"] == "described"
    assert stage.take_dead_letters() == []


def test_an_outage_longer_than_all_attempts_is_survived_without_a_person(minutes: Minutes) -> None:
    stage = minutes.stage
    uploads = [stage.upload(make_picture(f"#00{number:02x}00")) for number in range(30)]
    stage.endpoint.always_says(503)
    for _ in range(60):
        minutes.run()
    stage.endpoint.always_says(None)
    for _ in range(60):
        minutes.run()
    assert {stage.standing(upload)["status"] for upload in uploads} == {"described"}
    assert stage.endpoint.paid.total() == 30
    assert stage.take_dead_letters() == []


# ── What the describe function did not say ───────────────────────────────────────────────────────────────────────────


def moved_by_sqs(stage: Stage, redrives: int, *, opened: bool = True) -> Upload:
    """An image whose message crashed the function until SQS moved it."""
    upload = stage.store("crashes.png", PICTURE)
    if opened:
        stage.pipeline.catalog.open(upload)
    stage.sqs.client.send_message(
        QueueUrl=stage.dead_letter_queue_url,
        MessageBody=eventbridge_body(upload),
        MessageAttributes={"redrives": {"DataType": "String", "StringValue": str(redrives)}},
    )
    return upload


@pytest.mark.parametrize("opened", [True, False])
def test_a_crash_that_stays_a_dead_letter_is_in_the_record_and_announced_once(minutes: Minutes, opened: bool) -> None:
    stage = minutes.stage
    upload = moved_by_sqs(stage, MAX_REDRIVES, opened=opened)
    for _ in range(40):
        minutes.run()
    record = stage.standing(upload)
    assert record["status"] == "dead"
    assert "ended again and again" in record["error"]
    (event,) = stage.bus.client.events
    event_schemas.check({"source": "imagescribe"} | event)
    assert (event["detail-type"], event["detail"]["reason"]) == ("Image Dead", "crash")
    assert event["detail"]["error"] == record["error"]
    assert [dead_letter.attributes["reason"] for dead_letter in stage.take_dead_letters()] == ["crash"]


def test_a_crash_whose_image_has_a_record_that_is_not_ours_to_read_is_in_the_record_all_the_same(
    minutes: Minutes,
) -> None:
    stage = minutes.stage
    upload = moved_by_sqs(stage, MAX_REDRIVES, opened=False)
    update_if(stage.dynamodb.client, stage.catalog_table, {"image": upload.image}, values={"status": "strange"})
    for _ in range(2):
        minutes.run()
    assert stage.standing(upload)["status"] == "dead"


def test_a_crash_that_comes_back_at_once_is_not_announced(minutes: Minutes) -> None:
    upload = moved_by_sqs(minutes.stage, 0)
    minutes.run()
    minutes.run()
    assert minutes.stage.ends(upload) == ["Described"]


@pytest.mark.parametrize("trouble", ["the bus refuses", "the bus fails", "the table fails"])
def test_a_crash_that_could_not_be_announced_is_announced_in_a_later_run(minutes: Minutes, trouble: str) -> None:
    stage = minutes.stage
    upload = moved_by_sqs(stage, MAX_REDRIVES)
    stage.bus.client.refuses = trouble == "the bus refuses"
    if trouble == "the bus fails":
        stage.bus.failing["put_events"] = aws_error("InternalFailure")
    if trouble == "the table fails":
        stage.dynamodb.before["update_item"] = fail_for(stage.catalog_table)
    minutes.run()
    assert stage.ends(upload) == []
    stage.bus.client.refuses = False
    stage.bus.failing.clear()
    stage.dynamodb.before.clear()
    for _ in range(20):
        minutes.run()
    assert stage.ends(upload) == ["Dead"]


def fail_for(table: str) -> Callable[[dict[str, Any]], None]:
    def fail(parameters: dict[str, Any]) -> None:
        if parameters["TableName"] == table:
            raise aws_error("InternalServerError")

    return fail


def test_a_crash_after_the_image_was_described_takes_nothing_back(minutes: Minutes) -> None:
    stage = minutes.stage
    upload = stage.upload(PICTURE, "crashes.png")
    stage.settle()
    stage.sqs.client.send_message(
        QueueUrl=stage.dead_letter_queue_url,
        MessageBody=eventbridge_body(upload),
        MessageAttributes={"redrives": {"DataType": "String", "StringValue": str(MAX_REDRIVES)}},
    )
    minutes.run()
    assert stage.standing(upload)["status"] == "described"
    assert stage.ends(upload) == ["Described"]


def test_a_dead_letter_that_tells_of_no_image_gets_its_reason_and_no_event(minutes: Minutes) -> None:
    stage = minutes.stage
    stage.sqs.client.send_message(
        QueueUrl=stage.dead_letter_queue_url,
        MessageBody="no JSON",
        MessageAttributes={"redrives": {"DataType": "String", "StringValue": str(MAX_REDRIVES)}},
    )
    minutes.run()
    assert [dead_letter.attributes["reason"] for dead_letter in stage.take_dead_letters()] == ["crash"]
    assert stage.bus.client.events == []


# ── The function ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def function(minutes: Minutes, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load_function("recover")
    monkeypatch.setattr(module, "_recovery", minutes.recovery())
    return module


def test_the_function_answers_what_it_did(minutes: Minutes, function: ModuleType) -> None:
    bury(minutes.stage, "cat", "transient")
    answer = function.handler({"time": "2026-11-02T09:15:00Z"}, SimpleNamespace(aws_request_id="request-1"))
    assert answer == {"mappings": "", "paused": "", "redriven": {"transient": 1}}


def test_the_function_knows_all_mappings_that_the_template_names() -> None:
    module = load_function("recover")
    assert module._recovery.mappings._ids == ["mapping-1", "mapping-2"]
    variables = sam_template.resources("AWS::Serverless::Function")["RecoverFunction"]["Environment"]["Variables"]
    assert "IMAGESCRIBE_EVENT_SOURCE_MAPPINGS" in variables


def test_the_clients_have_a_connection_for_each_image_of_the_largest_batch() -> None:
    batch_size = sam_template.load()["Parameters"]["BatchSize"]
    assert batch_size["MaxValue"] == MAX_SIDE_BY_SIDE
    config: Any = AWS_CONFIG  # the stubs of botocore leave its options out
    assert config.max_pool_connections == MAX_SIDE_BY_SIDE
