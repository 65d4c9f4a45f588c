"""The endpoint's key: rotated, refused, missing; and that neither it nor a signed URL is ever logged or kept."""

from __future__ import annotations

import json

import pytest

from tests.factories import API_KEY, make_picture
from tests.unit.fake_endpoint import prompt_of
from tests.unit.stage import Stage

PICTURE = make_picture("teal")


def test_a_key_that_was_rotated_is_read_again_once_and_the_image_does_not_notice(stage: Stage) -> None:
    first = stage.upload(PICTURE)
    stage.drain()
    stage.endpoint.accepted_key = stage.secrets.client.key = "the next key"
    second = stage.upload(make_picture("red"))
    stage.drain()

    assert stage.statuses(first, second) == ["described"] * 2
    assert [key for _url, key in stage.endpoint.calls] == [API_KEY, API_KEY, "the next key"]
    assert stage.secrets.count("get_secret_value") == 2
    assert stage.throttle_state().breaker.opened_by == ""


def test_a_key_that_is_refused_and_was_not_rotated_pauses_intake_and_the_right_one_ends_the_pause(
    stage: Stage,
) -> None:
    stage.endpoint.accepted_key = "another key"
    upload = stage.upload(PICTURE)
    stage.drain()
    assert len(stage.endpoint.calls) == 1
    breaker = stage.throttle_state().breaker
    assert (breaker.opened_by, breaker.why) == ("account", "401: no such key")
    record = stage.record(upload)
    assert record is not None
    assert (record["status"], record["error"], record["attempts"]) == ("waiting", "401: no such key", 0)

    later = stage.upload(make_picture("red"))
    stage.drain()
    assert len(stage.endpoint.calls) == 1
    assert stage.standing(later)["error"] == "paused by the account: 401: no such key"

    stage.secrets.client.key = "another key"
    stage.settle()
    assert stage.statuses(upload, later) == ["described"] * 2
    assert stage.throttle_state().breaker.opened_by == ""
    assert stage.take_dead_letters() == []


@pytest.mark.parametrize("key", [None, "", " \n"])
def test_without_a_key_intake_is_paused_with_what_to_do_about_it(stage: Stage, key: str | None) -> None:
    stage.secrets.client.key = key
    upload = stage.upload(PICTURE)
    stage.pass_time(3_600)
    assert stage.endpoint.calls == []
    assert stage.throttle_state().breaker.why == "no API key is set: run `imagescribe key set`"
    assert stage.throttle_state().breaker.openings > 3  # each longer than the one before
    assert stage.throttle_state().breaker.open_until > stage.clock.now
    assert stage.statuses(upload) == ["waiting"]
    assert stage.paid(upload) is None

    stage.secrets.client.key = API_KEY
    stage.settle()
    assert stage.statuses(upload) == ["described"]
    assert stage.take_dead_letters() == []


def test_a_key_that_was_taken_away_pauses_intake_like_one_that_is_wrong(stage: Stage) -> None:
    stage.upload(PICTURE)
    stage.drain()
    stage.endpoint.accepted_key = "another key"
    stage.secrets.client.key = ""
    upload = stage.upload(make_picture("red"))
    stage.drain()
    assert stage.throttle_state().breaker.why == "no API key is set: run `imagescribe key set`"
    assert stage.standing(upload)["attempts"] == 0

    stage.secrets.client.key = "another key"
    stage.settle()
    assert stage.statuses(upload) == ["described"]
    assert stage.throttle_state().budget.spent_usd == 2 * 0.015


def test_neither_the_key_nor_what_signs_a_url_is_in_what_is_logged_or_kept(
    stage: Stage, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.endpoint.says(503, 429, 500)
    stage.upload(PICTURE)
    stage.settle()
    kept = json.dumps(stage.dynamodb.client.tables, default=str)
    said = caplog.text + "".join(capsys.readouterr())
    assert prompt_of(PICTURE) in kept
    for secret in (API_KEY, "X-Amz-Signature", "0f0f"):
        assert secret not in kept + said
