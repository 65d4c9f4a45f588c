"""Search and the query API on a deployed stack: found within seconds, gone at once, and refused to whoever may not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import HealthCheck, Phase, given, settings
from PIL import Image

from imagescribe.query.openapi import ROUTES, document
from imagescribe_ops.simulator import ScriptedAnswer
from tests.stack.bodies import Uploaded
from tests.stack.conftest import Ask, Run, Stacks
from tests.stack.deployment import Deployment, iam_client
from tests.stack.pictures import picture

if TYPE_CHECKING:
    from schemathesis import Case


@pytest.fixture(scope="module")
def deployment(stacks: Stacks) -> Deployment:
    """A stack of its own, whose prompts no other test adds to."""
    return stacks.with_own_simulator("searched")


def describe(deployment: Deployment, key: str, prompt: str) -> Uploaded:
    """Upload a picture that is described with a prompt, and wait until it is."""
    deployment.script(key, ScriptedAnswer(body=json.dumps([prompt])))
    upload = deployment.put(key, picture())
    # Where it overwrites another, the record is of that one at first.
    deployment.until(lambda: (record := deployment.record(key)) and record["prompt"] == prompt, f"{prompt}: {key}")
    return upload


def make_snapshot(deployment: Deployment) -> str:
    """Make the snapshot now, and return what the function says of it."""
    answer = deployment.lambda_functions.invoke(
        FunctionName=deployment.outputs.snapshot_function_name, Payload=b'{"always": true}'
    )
    told: dict[str, str] = json.loads(answer["Payload"].read())
    return told["snapshot"]


def keys(found: Any) -> list[str]:
    return [image["key"] for image in found["images"]]


# ── Searching ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_prompt_is_found_by_the_first_search_after_its_record_stands(deployment: Deployment, ask: Ask) -> None:
    ask("search", "anything")  # the function runs already, and has looked for what is new
    describe(deployment, "found/Café + crème?.png", "A crimson rowboat at dusk")
    assert keys(ask("search", "rowboats", "dusk")) == ["found/Café + crème?.png"]


def test_what_is_deleted_is_gone_from_the_snapshot_too_as_soon_as_its_record_is(
    deployment: Deployment, ask: Ask
) -> None:
    describe(deployment, "deleted/1.png", "An emerald tram")
    describe(deployment, "deleted/2.png", "An emerald tram in the rain")
    made = make_snapshot(deployment)
    assert "images" in made
    assert keys(ask("search", "emerald tram")) == ["deleted/2.png", "deleted/1.png"]
    deployment.delete("deleted/2.png")
    deployment.until_gone("deleted/2.png")
    assert keys(ask("search", "emerald tram")) == ["deleted/1.png"]
    assert keys(ask("search", "emerald tram", "--best")) == ["deleted/1.png"]


def test_what_is_overwritten_is_found_by_its_new_prompt_only(deployment: Deployment, ask: Ask) -> None:
    describe(deployment, "overwritten.png", "A turquoise kettle")
    make_snapshot(deployment)
    describe(deployment, "overwritten.png", "A purple teapot")
    assert keys(ask("search", "turquoise")) == []
    assert keys(ask("search", "purple")) == ["overwritten.png"]


def test_a_function_that_starts_takes_the_snapshot(deployment: Deployment, ask: Ask) -> None:
    describe(deployment, "snapshot.png", "A brass astrolabe")
    make_snapshot(deployment)
    # Its environments are as old as their configuration, even if that is what it was.
    deployment.lambda_functions.update_function_configuration(
        FunctionName=deployment.outputs.query_function_name, Timeout=29
    )
    told = get(deployment, "/stats").json()
    assert told["search"]["is_complete"] is True
    assert told["search"]["snapshot"] >= 1
    assert keys(ask("search", "astro*")) == ["snapshot.png"]
    lines = [json.loads(line) for line in deployment.log_lines() if '"message"' in line]
    told_by_both = [line for line in lines if line["message"] in ("snapshot", "took a snapshot")]
    assert {line["message"] for line in told_by_both} == {"snapshot", "took a snapshot"}
    assert all(line["request_id"] for line in told_by_both)


def test_pages_of_a_list_and_of_a_search_go_on(deployment: Deployment, ask: Ask) -> None:
    for number in range(3):
        describe(deployment, f"pages/{number}.png", "A page of vellum")
    for command in (
        ["search", "vellum"],
        ["list", "--prefix", "pages/"],
        ["list", "--prefix", "pages/", "--status", "described"],
    ):
        first = ask(*command, "--limit", "2")
        second = ask(*command, "--limit", "2", "--after", first["after"])
        assert sorted(keys(first) + keys(second)) == [f"pages/{number}.png" for number in range(3)]
        assert second["after"] is None


def test_a_malformed_query_gets_a_sentence(run: Run) -> None:
    result = run("search", "boat", "OR", ends_with=1)
    assert "OR stands between two words" in result.output
    assert "Traceback" not in result.output


def test_a_picture_is_shown_by_a_url_that_is_worth_nothing_without_its_signature(deployment: Deployment) -> None:
    describe(deployment, "shown/a b?.png", "A shown thing")
    (image,) = get(deployment, "/search", q="shown thing").json()["images"]
    url = get(deployment, f"/images/{image['id']}/picture", redirect="false").json()["url"]
    assert requests.get(url, timeout=10).content.startswith(b"\x89PNG")
    assert requests.get(url.partition("?")[0], timeout=10).status_code == 403
    assert not [line for line in deployment.log_lines() if "X-Amz-Signature" in line]


def test_a_thumbnail_is_made_of_what_no_browser_shows(deployment: Deployment) -> None:
    content = BytesIO()
    Image.open(BytesIO(picture(width=900, height=600))).save(content, "TIFF")
    deployment.put("small/scan.tiff", content.getvalue())
    deployment.put("small/notes.txt", b"not a picture")
    deployment.until_status("skipped", "small/notes.txt")
    deployment.until_described("small/scan.tiff")
    notes, scan = get(deployment, "/images", prefix="small/").json()["images"]
    for _ in range(2):
        url = get(deployment, f"/images/{scan['id']}/picture", size="thumbnail", redirect="false").json()["url"]
    with Image.open(BytesIO(requests.get(url, timeout=10).content)) as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("WEBP", (512, 341))
    assert requests.get(url.partition("?")[0], timeout=10).status_code == 403
    refused = get(deployment, f"/images/{notes['id']}/picture", size="thumbnail")
    assert refused.status_code == 404
    assert "no thumbnail" in refused.json()["detail"]


# ── Who may ask ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Signed(requests.auth.AuthBase):
    """Signs requests with a key."""

    def __init__(self, access_key: str, secret_key: str, region: str) -> None:
        self._signer = SigV4Auth(Credentials(access_key, secret_key), "lambda", region)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        signed = AWSRequest(request.method, request.url)
        self._signer.add_auth(signed)
        request.headers.update(dict(signed.headers))
        return request


def root(deployment: Deployment) -> Signed:
    cloud = deployment.stack.cloud
    return Signed(cloud.credentials.access_key_id, cloud.credentials.secret_access_key, cloud.region)


def url_of(deployment: Deployment, path: str) -> str:
    return deployment.stack.connection.reachable(deployment.outputs.query_url).rstrip("/") + path


def get(deployment: Deployment, path: str, auth: Signed | None = None, **asked: str) -> requests.Response:
    return requests.get(url_of(deployment, path), params=asked, auth=auth or root(deployment), timeout=30)


@contextmanager
def user(deployment: Deployment, *statements: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A user with some permissions, and their key."""
    iam = iam_client(deployment.stack.cloud)
    name = f"user-{uuid4()}"
    iam.create_user(UserName=name)
    if statements:
        policy = {"Version": "2012-10-17", "Statement": list(statements)}
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    yield key["AccessKeyId"], key["SecretAccessKey"]
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])


def may_ask(deployment: Deployment) -> dict[str, Any]:
    function = deployment.lambda_functions.get_function_configuration(
        FunctionName=deployment.outputs.query_function_name
    )
    actions = ["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"]
    return {"Effect": "Allow", "Action": actions, "Resource": function["FunctionArn"]}


def test_whoever_may_invoke_the_url_is_answered_and_whoever_may_not_is_refused(deployment: Deployment) -> None:
    region = deployment.stack.cloud.region
    with user(deployment, may_ask(deployment)) as key:
        assert get(deployment, "/stats", Signed(*key, region)).status_code == 200
        assert get(deployment, "/stats", Signed(key[0], "forged" + key[1][6:], region)).status_code == 403
    with user(deployment) as key:
        assert get(deployment, "/stats", Signed(*key, region)).status_code == 403
    assert get(deployment, "/stats", Signed("AKIAIOSFODNN7EXAMPLE", "x" * 40, region)).status_code == 403


def test_an_unsigned_request_is_refused(deployment: Deployment) -> None:
    for route in ROUTES:
        assert requests.get(url_of(deployment, route.path), timeout=10).status_code == 403


def test_a_signature_of_something_else_is_refused(deployment: Deployment) -> None:
    with user(deployment, may_ask(deployment)) as key:
        signed = AWSRequest("GET", url_of(deployment, "/stats"))
        SigV4Auth(Credentials(*key), "lambda", deployment.stack.cloud.region).add_auth(signed)
        headers = dict(signed.headers)
        assert requests.get(url_of(deployment, "/stats"), headers=headers, timeout=10).status_code == 200
        assert requests.get(url_of(deployment, "/images"), headers=headers, timeout=10).status_code == 403


# ── The API is what it says ──────────────────────────────────────────────────────────────────────────────────────────

OPERATIONS = [route.path for route in ROUTES]


@pytest.mark.parametrize("path", OPERATIONS)
def test_every_answer_is_what_the_openapi_document_says(deployment: Deployment, path: str) -> None:
    # Imported here, since each process of the tests would take half a second for it.
    import schemathesis  # noqa: PLC0415
    from schemathesis.specs.openapi.checks import positive_data_acceptance  # noqa: PLC0415

    describe(deployment, f"contract/{uuid4()}.png", "A boat under contract")
    assert get(deployment, "/openapi.json").json() == json.loads(json.dumps(document()))
    operation = schemathesis.openapi.from_dict(json.loads(json.dumps(document())))[path]["GET"]
    auth, base_url = root(deployment), url_of(deployment, "")

    @settings(
        max_examples=15,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def holds(case: Case[Any]) -> None:
        answer = case.call(base_url=base_url, auth=auth, allow_redirects=False, timeout=30)
        # A schema can't tell which text is a query, a cursor or the id of an image that there is.
        case.validate_response(answer, excluded_checks=[positive_data_acceptance])

    holds()
