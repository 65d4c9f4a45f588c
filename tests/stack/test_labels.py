"""Labels: in the catalog, as tags that rules and policies match, announced, and after the vocabulary changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from imagescribe_ops.simulator import ScriptedAnswer
from tests.stack.conftest import Ask, Stacks
from tests.stack.deployment import Deployment, iam_client
from tests.stack.pictures import picture
from tests.stack.test_events import received

LABELS_KEY = "settings/labels.txt"


@pytest.fixture(scope="module")
def deployment(stacks: Stacks) -> Deployment:
    deployment = stacks.deploy(
        "labels", Labels="#boat=ship|vessel|yacht, beach", LabelsKey=LABELS_KEY, WriteAnnotation="true"
    )
    write_vocabulary(deployment, "person=man|woman|child\n")
    return deployment


def write_vocabulary(deployment: Deployment, text: str) -> None:
    deployment.s3.put_object(Bucket=deployment.bucket, Key=LABELS_KEY, Body=text.encode())


def describe(deployment: Deployment, key: str, prompt: str, tags: str = "") -> dict[str, Any]:
    body = json.dumps({"descriptions": [{"text": prompt}]})
    deployment.script(key, ScriptedAnswer(body=body))
    deployment.put(key, picture(), tags)
    return deployment.until_described(key)[key]


def test_words_of_the_prompt_become_labels_in_the_catalog_on_the_object_and_in_the_event(
    deployment: Deployment, ask: Ask
) -> None:
    key = "labels/sea.png"
    with received(deployment, "labels") as events:
        record = describe(deployment, key, "Two ships, and children on a beach", "album=summer")
        (event,) = deployment.until(lambda: events(key), "an event")
    assert record["labels"] == {"beach", "boat", "person"}
    assert event["detail"]["labels"] == ["beach", "boat", "person"]
    assert deployment.tags(key) == {
        "album": "summer",
        "prompt": "Two ships and children on a beach",
        "labels": "beach boat person",
        "label:boat": "yes",
    }
    image = f"s3://{deployment.bucket}/{key}"
    assert ask("get", image)["labels"] == ["beach", "boat", "person"]
    listed = ask("list", "--label", "Person", "--prefix", "labels/sea")
    assert [each["image"] for each in listed["images"]] == [image]
    found = ask("search", "children", "--label", "Person", "--prefix", "labels/sea")
    assert [each["image"] for each in found["images"]] == [image]


def test_a_tag_that_a_person_set_is_kept(deployment: Deployment) -> None:
    key = "labels/theirs.png"
    record = describe(deployment, key, "A yacht", "labels=regatta+2026")
    assert deployment.tags(key) == {"labels": "regatta 2026", "label:boat": "yes", "prompt": "A yacht"}
    assert record["labels"] == {"boat"}


def test_a_lifecycle_rule_matches_a_label(deployment: Deployment) -> None:
    describe(deployment, "labels/rule-boat.png", "A vessel beside a beach")
    describe(deployment, "labels/rule-none.png", "A beach")
    rule: Any = {
        "ID": "BoatsToGlacier",
        "Status": "Enabled",
        "Filter": {"Tag": {"Key": "label:boat", "Value": "yes"}},
        "Transitions": [{"Days": 30, "StorageClass": "GLACIER_IR"}],
    }
    deployment.s3.put_bucket_lifecycle_configuration(Bucket=deployment.bucket, LifecycleConfiguration={"Rules": [rule]})
    answer = deployment.s3.get_bucket_lifecycle_configuration(Bucket=deployment.bucket)
    tag = answer["Rules"][0]["Filter"]["Tag"]
    # The emulator keeps rules and applies none. S3 takes those objects that have exactly this key and value:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-filters.html
    matched = [
        key
        for key in ("labels/rule-boat.png", "labels/rule-none.png")
        if deployment.tags(key).get(tag["Key"]) == tag["Value"]
    ]
    assert matched == ["labels/rule-boat.png"]


@pytest.fixture
def boats_only(deployment: Deployment) -> Iterator[Any]:
    """S3 as a user has it whom a policy lets read what has a label."""
    cloud = deployment.stack.cloud
    iam = iam_client(cloud)
    iam.create_user(UserName="sailor")
    of_all_labels = ["person", "person *", "* person", "* person *"]
    allow = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{deployment.bucket}/*"}
    statements = [
        allow | {"Condition": {"StringEquals": {"s3:ExistingObjectTag/label:boat": "yes"}}},
        allow | {"Condition": {"StringLike": {"s3:ExistingObjectTag/labels": of_all_labels}}},
    ]
    policy = {"Version": "2012-10-17", "Statement": statements}
    iam.put_user_policy(UserName="sailor", PolicyName="boats", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName="sailor")["AccessKey"]
    yield boto3.client(
        "s3",
        endpoint_url=cloud.endpoint_url,
        region_name=cloud.region,
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    iam.delete_access_key(UserName="sailor", AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName="sailor", PolicyName="boats")
    iam.delete_user(UserName="sailor")


def test_a_policy_lets_a_user_read_what_has_a_label_and_nothing_else(deployment: Deployment, boats_only: Any) -> None:
    may = {"labels/policy-boat.png": "A ship at a beach", "labels/policy-person.png": "A woman on a beach"}
    for key, prompt in may.items():
        describe(deployment, key, prompt)
        assert boats_only.get_object(Bucket=deployment.bucket, Key=key)["Body"].read()
    describe(deployment, "labels/policy-none.png", "A beach")
    with pytest.raises(ClientError, match="AccessDenied"):
        boats_only.get_object(Bucket=deployment.bucket, Key="labels/policy-none.png")


def test_a_changed_vocabulary_is_applied_to_what_is_described_without_a_call(deployment: Deployment, ask: Ask) -> None:
    key = "relabelled/sea.png"
    describe(deployment, key, "A ship with dogs, a yacht and a woman", "owner=Ann")
    calls = len(deployment.simulator.journal())
    write_vocabulary(deployment, "person=man|woman|child\n#dog=hound\n")
    dry = ask("relabel", "--prefix", "relabelled/", "--dry-run")
    assert deployment.record(key)["labels"] == {"boat", "person"}  # type: ignore[index]
    told = ask("relabel", "--prefix", "relabelled/")
    assert told | {"dry_run": True, "tags": {}} == dry | {"tags": {}}
    assert told["gained"] == {"dog": 1}
    assert told["tags"] == {"written": 1}
    assert deployment.record(key)["labels"] == {"boat", "dog", "person"}  # type: ignore[index]
    tags = deployment.tags(key)
    assert tags.pop("prompt")
    assert tags == {"owner": "Ann", "labels": "boat dog person", "label:boat": "yes", "label:dog": "yes"}
    assert ask("relabel", "--prefix", "relabelled/")["unchanged"] == 1
    deployment.until_idle()
    assert len(deployment.simulator.journal()) == calls
    write_vocabulary(deployment, "person=man|woman|child\n")


def annotation(deployment: Deployment, key: str) -> Any:
    answer = deployment.s3.get_object_annotation(Bucket=deployment.bucket, Key=key, AnnotationName="imagescribe.prompt")
    return json.loads(answer["AnnotationPayload"].read())


def test_the_whole_prompt_is_annotated_and_the_event_of_that_starts_nothing(deployment: Deployment) -> None:
    key = "annotated/Café + crème 100%.png"
    prompt = "A „long“ prompt, of which the tag has only a part. " * 20
    record = describe(deployment, key, prompt)
    assert record["annotation"] == "written"
    assert annotation(deployment, key) == {
        "prompt": record["prompt"],
        "model": record["model"],
        "described_at": record["described_at"],
    }

    def results() -> list[str]:
        """What became of the messages: the emulator tells of an annotation by an `Object Created` of its own."""
        lines = [json.loads(line) for line in deployment.log_lines() if '"done"' in line]
        return sorted(line["result"] for line in lines if key in (line["image"] or ""))

    found = deployment.until(lambda: found if len(found := results()) > 1 else None, "two messages")
    assert found == ["described", "stale: a later event has a record"]
    deployment.until_idle()
    assert deployment.billed(key) == 1
    assert deployment.record(key) == record


def test_where_annotations_may_not_be_written_the_prompt_is_safe_and_relabel_writes_them_later(
    deployment: Deployment, ask: Ask
) -> None:
    key = "annotated/denied.png"
    with deployment.without("AnnotateThem", "s3:PutObjectAnnotation"):
        record = describe(deployment, key, "A ship")
    assert record["annotation"] == "denied"
    assert ask("relabel", "--prefix", "annotated/")["annotations"] == {"written": 1}
    record = deployment.record(key) or {}
    assert record["annotation"] == "written"
    assert annotation(deployment, key)["prompt"] == record["prompt"]
    assert record["tags"] == "written"
    assert deployment.billed(key) == 1
