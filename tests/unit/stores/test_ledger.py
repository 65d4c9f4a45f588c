"""No content is paid for twice: one holder at a time, and the first answer stands for good."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from threading import Lock
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagescribe.model.answers import Description
from imagescribe.stores.dynamodb import get
from imagescribe.stores.ledger import SAVE_RETRY_SECONDS, Claim, Claimed, ClaimedElsewhere, Ledger, content_key
from tests.factories import Clock, make_description, make_upload, unique

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from imagescribe.model.events import Upload

LEASE_SECONDS = 120.0


@pytest.fixture
def ledger(dynamodb: DynamoDBClient, ledger_table: str, clock: Clock) -> Ledger:
    return Ledger(dynamodb, ledger_table, clock, clock.sleep)


@pytest.fixture
def upload() -> Upload:
    """Of content that no other test has."""
    return make_upload(etag=unique("etag"))


def throttled() -> ClientError:
    return ClientError({"Error": {"Code": "ProvisionedThroughputExceededException"}}, "UpdateItem")


def timed_out() -> ReadTimeoutError:
    return ReadTimeoutError(endpoint_url="https://dynamodb")


@contextmanager
def failing(
    client: DynamoDBClient, times: int, error: Callable[[], Exception], *, after: bool = False
) -> Iterator[None]:
    """Let so many updates fail, before the table sees them or after it took them."""
    update = client.update_item
    left = times

    def update_item(**arguments: Any) -> Any:
        nonlocal left
        if left == 0:
            return update(**arguments)
        left -= 1
        if after:
            update(**arguments)
        raise error()

    with patch.object(client, "update_item", update_item):
        yield


# ── Claims ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_content_that_nobody_knows_is_claimed(ledger: Ledger, upload: Upload, clock: Clock) -> None:
    assert ledger.claim(upload, "one", clock.now + LEASE_SECONDS) == Claimed()


def test_content_that_is_claimed_is_busy_for_others_until_its_lease_ends(
    ledger: Ledger, upload: Upload, clock: Clock
) -> None:
    ends_at = clock.now + LEASE_SECONDS
    ledger.claim(upload, "one", ends_at)
    assert ledger.claim(upload, "two", ends_at + 60) == ClaimedElsewhere(ends_at)
    clock.now = ends_at  # to the last moment
    assert ledger.claim(upload, "two", ends_at + 60) == ClaimedElsewhere(ends_at)


def test_the_claim_of_a_holder_that_crashed_is_taken_over_and_counted(
    ledger: Ledger, upload: Upload, clock: Clock, dynamodb: DynamoDBClient, ledger_table: str
) -> None:
    for claims in (1, 2, 3):
        assert ledger.claim(upload, f"holder {claims}", clock.now + LEASE_SECONDS) == Claimed()
        item = get(dynamodb, ledger_table, content_key(upload))
        assert item
        assert item["claims"] == claims
        clock.now += LEASE_SECONDS + 1


def test_a_holder_may_claim_again_since_the_confirmation_may_have_got_lost(
    ledger: Ledger, upload: Upload, clock: Clock
) -> None:
    ledger.claim(upload, "one", clock.now + LEASE_SECONDS)
    assert isinstance(ledger.claim(upload, "one", clock.now + 2 * LEASE_SECONDS), Claimed)
    assert ledger.claim(upload, "two", clock.now + LEASE_SECONDS) == ClaimedElsewhere(clock.now + 2 * LEASE_SECONDS)


def test_the_same_picture_under_two_names_is_one_content(ledger: Ledger, upload: Upload, clock: Clock) -> None:
    copy = make_upload(bucket="another-bucket", key="copy.png", version_id="v2", etag=upload.etag, size=upload.size)
    ledger.claim(upload, "one", clock.now + LEASE_SECONDS)
    assert isinstance(ledger.claim(copy, "two", clock.now + LEASE_SECONDS), ClaimedElsewhere)
    ledger.save(upload, make_description(), clock.now + 10)
    assert ledger.claim(copy, "two", clock.now + LEASE_SECONDS) == make_description()


@pytest.mark.parametrize("change", [{"etag": "another"}, {"size": 1}])
def test_another_etag_or_size_is_another_content(
    change: dict[str, Any], ledger: Ledger, upload: Upload, clock: Clock
) -> None:
    ledger.claim(upload, "one", clock.now + LEASE_SECONDS)
    other = make_upload(**({"etag": upload.etag, "size": upload.size} | change))
    assert isinstance(ledger.claim(other, "two", clock.now + LEASE_SECONDS), Claimed)


@contextmanager
def one_after_the_other(client: DynamoDBClient) -> Iterator[list[str]]:
    """Let one request in at a time, and give their names.

    DynamoDB writes an item once after the other. moto has no lock, so there two conditional writes of two threads can
    both succeed, which says nothing of the code under test.
    """
    lock = Lock()
    names: list[str] = []
    private: Any = client
    request = private._make_api_call  # where every operation of a client goes through

    def one_request(name: str, arguments: dict[str, Any]) -> Any:
        with lock:
            names.append(name)
            return request(name, arguments)

    with patch.object(client, "_make_api_call", one_request):
        yield names


def test_of_many_that_claim_at_once_one_gets_it_by_a_single_request(
    ledger: Ledger, upload: Upload, clock: Clock, dynamodb: DynamoDBClient
) -> None:
    def claim(number: int) -> Claim:
        return ledger.claim(upload, f"holder {number}", clock.now + LEASE_SECONDS)

    with one_after_the_other(dynamodb) as requests, ThreadPoolExecutor(10) as pool:
        claims = list(pool.map(claim, range(10)))
    assert sorted(type(each).__name__ for each in claims) == ["Claimed"] + ["ClaimedElsewhere"] * 9
    # Who looks first and writes then can be overtaken in between: a claim is one conditional write and nothing else.
    assert requests == ["UpdateItem"] * 10


def test_a_failing_table_gives_no_claim(ledger: Ledger, upload: Upload, clock: Clock, dynamodb: DynamoDBClient) -> None:
    with failing(dynamodb, 1, throttled), pytest.raises(ClientError):
        ledger.claim(upload, "one", clock.now + LEASE_SECONDS)


# ── Giving back ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_claim_that_is_given_back_leaves_the_content_to_the_next_at_once(
    ledger: Ledger, upload: Upload, clock: Clock
) -> None:
    ledger.claim(upload, "one", clock.now + LEASE_SECONDS)
    ledger.release(upload, "one")
    assert isinstance(ledger.claim(upload, "two", clock.now + LEASE_SECONDS), Claimed)


def test_nobody_gives_back_anothers_claim(ledger: Ledger, upload: Upload, clock: Clock) -> None:
    ends_at = clock.now + LEASE_SECONDS
    ledger.claim(upload, "one", ends_at)
    ledger.release(upload, "two")
    assert ledger.claim(upload, "two", ends_at) == ClaimedElsewhere(ends_at)


def test_one_whose_lease_was_taken_over_gives_back_nothing(ledger: Ledger, upload: Upload, clock: Clock) -> None:
    ledger.claim(upload, "one", clock.now + 1)
    clock.now += 2
    ledger.claim(upload, "two", clock.now + LEASE_SECONDS)
    ledger.release(upload, "one")
    assert isinstance(ledger.claim(upload, "three", clock.now + LEASE_SECONDS), ClaimedElsewhere)


def test_giving_back_what_was_never_claimed_or_is_paid_changes_nothing(
    ledger: Ledger, upload: Upload, clock: Clock
) -> None:
    ledger.release(upload, "one")
    ledger.claim(upload, "one", clock.now + LEASE_SECONDS)
    ledger.save(upload, make_description(), clock.now + 10)
    ledger.release(upload, "one")
    assert ledger.claim(upload, "two", clock.now + LEASE_SECONDS) == make_description()


# ── Paid answers ─────────────────────────────────────────────────────────────────────────────────────────────────────

dollars_or_seconds = st.integers(0, 10**12).map(lambda millionths: millionths / 10**6)
descriptions = st.builds(
    make_description,
    body=st.text(),
    cost_usd=dollars_or_seconds,
    latency_seconds=dollars_or_seconds,
    request_id=st.none() | st.text(),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(descriptions)
def test_a_paid_answer_is_kept_as_it_is(ledger: Ledger, clock: Clock, description: Description) -> None:
    upload = make_upload(etag=unique("etag"))
    ledger.claim(upload, "one", clock.now + LEASE_SECONDS)
    assert ledger.save(upload, description, clock.now + 10) == description
    assert ledger.claim(upload, "two", clock.now + LEASE_SECONDS) == description


def test_an_answer_without_a_prompt_is_kept_too_since_it_is_paid(ledger: Ledger, upload: Upload, clock: Clock) -> None:
    for body in ("", "<html>"):
        content = make_upload(etag=unique("etag"))
        ledger.save(content, make_description(body=body), clock.now + 10)
        assert ledger.claim(content, "two", clock.now + LEASE_SECONDS) == make_description(body=body)


def test_whoever_looks_a_content_up_finds_who_is_at_it_and_then_what_was_paid(
    ledger: Ledger, upload: Upload, clock: Clock, dynamodb: DynamoDBClient, ledger_table: str
) -> None:
    key = {"content": f"{upload.etag}-{upload.size}"}
    ledger.claim(upload, "one", clock.now + 0.5)
    claimed = {**key, "image": upload.image, "claims": 1, "holder": "one", "lease_until": Decimal(str(clock.now + 0.5))}
    assert get(dynamodb, ledger_table, key) == claimed
    description = make_description()
    ledger.save(upload, description, clock.now + 10)
    assert get(dynamodb, ledger_table, key) == {
        **key,
        "image": upload.image,
        "claims": 1,
        "body": description.body,
        "cost_usd": Decimal("0.015"),
        "latency_seconds": Decimal("3.97"),
        "request_id": description.request_id,
        "described_at": description.described_at,
        "model": description.model,
        "rendered_from": None,
    }


def test_a_paid_answer_stays_long_after_its_lease(ledger: Ledger, upload: Upload, clock: Clock) -> None:
    ledger.claim(upload, "one", clock.now + LEASE_SECONDS)
    ledger.save(upload, make_description(), clock.now + 10)
    clock.now += 10 * 365 * 86_400
    assert ledger.claim(upload, "two", clock.now + LEASE_SECONDS) == make_description()


def test_the_answer_saved_first_stands(ledger: Ledger, upload: Upload, clock: Clock) -> None:
    first, second = make_description(body='"first"'), make_description(body='"second"')
    assert ledger.save(upload, first, clock.now + 10) == first
    assert ledger.save(upload, second, clock.now + 10) == first
    assert ledger.claim(upload, "two", clock.now + LEASE_SECONDS) == first


def test_an_answer_is_saved_though_another_took_the_claim_over(ledger: Ledger, upload: Upload, clock: Clock) -> None:
    ledger.claim(upload, "one", clock.now + 1)
    clock.now += 2
    ledger.claim(upload, "two", clock.now + LEASE_SECONDS)
    assert ledger.save(upload, make_description(), clock.now + 10) == make_description()
    assert ledger.claim(upload, "two", clock.now + LEASE_SECONDS) == make_description()


@pytest.mark.parametrize("error", [throttled, timed_out])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_saving_goes_on_through_failures_before_and_after_the_table_took_it(
    after: bool, error: Callable[[], Exception], ledger: Ledger, upload: Upload, clock: Clock, dynamodb: DynamoDBClient
) -> None:
    with failing(dynamodb, 5, error, after=after):
        assert ledger.save(upload, make_description(), clock.now + 10) == make_description()
    assert ledger.claim(upload, "two", clock.now + LEASE_SECONDS) == make_description()


def test_saving_gives_up_at_its_deadline_and_not_before(
    ledger: Ledger, upload: Upload, clock: Clock, dynamodb: DynamoDBClient
) -> None:
    deadline = clock.now + 10
    with failing(dynamodb, -1, throttled), pytest.raises(ClientError):
        ledger.save(upload, make_description(), deadline)
    assert deadline - SAVE_RETRY_SECONDS <= clock.now < deadline


def test_an_answer_that_comes_after_the_deadline_is_tried_once(ledger: Ledger, upload: Upload, clock: Clock) -> None:
    assert ledger.save(upload, make_description(), clock.now - 5) == make_description()
