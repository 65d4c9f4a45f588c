"""A backfill on a deployed stack: right estimate, each content paid once, and it can be stopped, killed and purged."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Mapping
from urllib.parse import quote_plus

import pytest

from imagescribe.backfill.jobs import KIND
from imagescribe_ops.aws.queue_depth import QueueDepth
from imagescribe_ops.simulator import ScriptedAnswer
from tests.stack.conftest import Ask, Stacks
from tests.stack.deployment import Deployment, events_client
from tests.stack.pictures import picture

LISTS = "backfill-lists"


@pytest.fixture(scope="module")
def deployment(stacks: Stacks) -> Deployment:
    """A stack of its own, whose bucket tells nobody of its objects."""
    stacks.bucket(LISTS)
    return stacks.with_own_simulator("backfilled", MaximumConcurrency="4", ManifestLocation=f"{LISTS}/")


@pytest.fixture(scope="module")
def rule_off(deployment: Deployment) -> None:
    events = events_client(deployment.stack.cloud)
    names = [rule["Name"] for rule in events.list_rules()["Rules"]]
    uploads = [name for name in names if "backfilled" in name and "Upload" in name]
    assert uploads
    for name in uploads:
        events.disable_rule(Name=name)


def lister_runs(deployment: Deployment) -> None:
    """Wake the lister, as its schedule does each minute."""
    answer = deployment.lambda_functions.invoke(FunctionName=deployment.outputs.backfill_function_name)
    assert "FunctionError" not in answer, answer["Payload"].read()


def waiting(deployment: Deployment) -> int:
    return QueueDepth.read(deployment.stack.connection, deployment.outputs.backfill_queue_url).total


def until_done(deployment: Deployment, ask: Ask, job: str) -> None:
    def is_done() -> bool:
        lister_runs(deployment)
        return bool(ask("backfill", "show", job)["phase"] == "done")

    deployment.until(is_done, "the backfill is done")


def forget_checkpoint(deployment: Deployment, job: str) -> None:
    """Bring a job to where a run leaves it that dies after it sent a page and before it wrote that down."""
    deployment.stack.connection.dynamodb().update_item(
        TableName=deployment.outputs.jobs_table_name,
        Key={"kind": {"S": KIND}, "job": {"S": job}},
        UpdateExpression="SET checkpoint = :start, is_listed = :no, lease_until = :free, phase = :running",
        ExpressionAttributeValues={
            ":start": {"S": ""},
            ":no": {"BOOL": False},
            ":free": {"N": "0"},
            ":running": {"S": "running"},  # it may have come to its end meanwhile
        },
    )


def test_what_was_there_before_is_described_and_each_content_paid_for_once(
    deployment: Deployment, ask: Ask, request: pytest.FixtureRequest
) -> None:
    before = [picture() for _ in range(8)]
    for number, content in enumerate(before):
        deployment.put(f"before/{number}.png", content)
    deployment.until_described(*(f"before/{number}.png" for number in range(8)))
    request.getfixturevalue("rule_off")
    new = [picture() for _ in range(30)]
    objects = {f"album/{number} +é.png": content for number, content in enumerate(new)}
    objects |= {f"copies/{number}.png": new[number] for number in range(5)}
    objects |= {f"copies/of-before-{number}.png": before[number] for number in range(3)}
    objects |= {f"notes/{number}.txt": f"no picture {number}".encode() for number in range(6)} | {"folder/": b""}
    for key, content in objects.items():
        deployment.put(key, content)

    estimate = ask("backfill")["estimate"]
    assert (estimate["objects"], estimate["described"], estimate["taken"]) == (52, 8, 44)
    assert (estimate["paid"], estimate["duplicates"], estimate["pays"]) == (3, 5, 30)
    assert estimate["unfit"] == {"no image": 6}
    assert estimate["is_exact"]

    job = ask("backfill", "--yes")["job"]["id"]
    for _ in range(5):
        deployment.until(lambda: ask("backfill", "show", job)["is_listed"], "all is listed")
        forget_checkpoint(deployment, job)
        lister_runs(deployment)
    until_done(deployment, ask, job)
    assert ask("audit", "--tags", "all")["ok"]
    paid = Counter(call.md5 for call in deployment.simulator.journal() if call.billed)
    assert set(paid.values()) == {1}
    assert len(paid) == 38
    assert deployment.dead_letters() == []


def test_a_queue_that_is_purged_under_a_backfill_is_healed_by_the_audit(
    deployment: Deployment, ask: Ask, rule_off: None
) -> None:
    keys = [f"purged/{number}.png" for number in range(6)]
    for key in keys:
        deployment.put(key, picture())
    ask("pause")
    job = ask("backfill", "--yes")["job"]["id"]
    deployment.until(lambda: waiting(deployment) == len(keys), "all is in the queue")
    deployment.sqs.purge_queue(QueueUrl=deployment.outputs.backfill_queue_url)
    ask("resume")
    until_done(deployment, ask, job)
    assert ask("audit", "--repair", ends_with=1)["repaired"]["sent"] == len(keys)
    deployment.until_described(*keys)
    deployment.until(lambda: not waiting(deployment), "the queue is empty")
    assert ask("audit")["ok"]
    assert deployment.billed(*keys) == len(keys)


def test_an_inventorys_manifest_and_a_list_of_keys_tell_what_is_described(
    deployment: Deployment, ask: Ask, rule_off: None
) -> None:
    inventoried = [f"inventory/{name}.png" for name in ("a b", "é+1", "c")]
    listed = ["list/ one.png", "list/two.png"]
    etags = {key: deployment.put(key, picture()).etag for key in [*inventoried, *listed]}
    deployment.put("inventory/not-in-it.png", picture())
    manifest = put_inventory(deployment, {key: etags[key] for key in inventoried} | {"inventory/gone.png": "0" * 32})
    deployment.s3.put_object(Bucket=LISTS, Key="keys.txt", Body="\n".join([*listed, "list/gone.png"]).encode())
    for address, keys in ((manifest, inventoried), (f"s3://{LISTS}/keys.txt", listed)):
        assert ask("backfill", "--manifest", address)["estimate"]["pays"] == len(keys)
        until_done(deployment, ask, ask("backfill", "--manifest", address, "--yes")["job"]["id"])
        deployment.until_described(*keys)
    assert deployment.record("inventory/not-in-it.png") is None
    deployment.delete("inventory/not-in-it.png")
    assert ask("audit")["ok"]


def put_inventory(deployment: Deployment, etags: Mapping[str, str]) -> str:
    """Put an inventory as S3 writes one, and return its manifest's address.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html
    """
    rows = "".join(f'"{deployment.bucket}","{quote_plus(key)}","100","{etag}"\n' for key, etag in etags.items())
    data = "inventory/all/data/part.csv.gz"
    deployment.s3.put_object(Bucket=LISTS, Key=data, Body=gzip.compress(rows.encode()))
    manifest = {
        "sourceBucket": deployment.bucket,
        "destinationBucket": f"arn:aws:s3:::{LISTS}",
        "version": "2016-11-30",
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, Size, ETag",
        "files": [{"key": data, "size": 1, "MD5checksum": ""}],
    }
    key = "inventory/all/2026-11-25T01-00Z/manifest.json"
    deployment.s3.put_object(Bucket=LISTS, Key=key, Body=json.dumps(manifest).encode())
    return f"s3://{LISTS}/{key}"


def test_what_an_older_model_described_is_described_and_paid_for_again_where_that_is_forced(
    deployment: Deployment, ask: Ask, rule_off: None
) -> None:
    key = "older/1.png"
    deployment.put(key, picture())
    until_done(deployment, ask, ask("backfill", "--prefix", "older/", "--yes")["job"]["id"])
    described_at = deployment.until_described(key)[key]["described_at"]
    again = ("backfill", "--prefix", "older/", "--older-than", "2100-01-01", "--force")
    assert ask(*again)["estimate"]["pays"] == 1
    until_done(deployment, ask, ask(*again, "--yes")["job"]["id"])
    deployment.until(
        lambda: deployment.until_described(key)[key]["described_at"] > described_at, "it is described again"
    )
    assert deployment.billed(key) == 2


def test_what_another_model_described_keeps_its_prompt_until_the_new_one_has_written_one(
    deployment: Deployment, ask: Ask, rule_off: None
) -> None:
    key = "models/1.png"
    deployment.put(key, picture())
    until_done(deployment, ask, ask("backfill", "--prefix", "models/", "--yes")["job"]["id"])
    before = deployment.until_described(key)[key]
    model = before["model"]
    assert ask("backfill", "--prefix", "models/", "--not-by", model, "--force")["estimate"]["taken"] == 0
    again = ("backfill", "--prefix", "models/", "--not-by", "qwen3-vl", "--force")
    estimate = ask(*again)["estimate"]
    assert (estimate["pays"], estimate["models"]) == (1, {model: 1})
    deployment.script(key, ScriptedAnswer(status=503), ScriptedAnswer(status=503))
    job = ask(*again, "--yes")["job"]["id"]
    deployment.until(lambda: len(deployment.calls(key)) >= 2, "it is tried again")
    waiting_again = deployment.record(key)
    assert waiting_again
    assert (waiting_again["status"], waiting_again["prompt"]) == ("described", before["prompt"])
    until_done(deployment, ask, job)
    after = deployment.until(
        lambda: (record := deployment.record(key)) and record["described_at"] > before["described_at"] and record,
        "it is described again",
    )
    assert (after["status"], "renewing" in after) == ("described", False)
    assert deployment.billed(key) == 2


def test_a_dead_letter_of_a_backfill_comes_back_behind_the_uploads(
    deployment: Deployment, ask: Ask, rule_off: None
) -> None:
    upload = deployment.put("dead/1.png", picture())
    deployment.script(upload.key, ScriptedAnswer(500, times=3))
    job = ask("backfill", "--prefix", "dead/", "--yes")["job"]["id"]
    record = deployment.until_status("dead", upload.key)[upload.key]
    assert record["job"] == job
    ask("pause")
    assert ask("redrive")["redriven"] == {"transient": 1}
    deployment.until(lambda: waiting(deployment) == 1, "it is in the backfill queue")
    assert deployment.depth().total == 0
    ask("resume")
    deployment.until_described(upload.key)
    until_done(deployment, ask, job)

    deployment.script(upload.key, ScriptedAnswer(500, times=3))
    again = ("backfill", "--prefix", "dead/", "--older-than", "2100-01-01", "--force")
    job = ask(*again, "--yes")["job"]["id"]
    dead_letters = deployment.outputs.dead_letter_queue_url
    deployment.until(lambda: QueueDepth.read(deployment.stack.connection, dead_letters).total == 1, "a dead letter")
    # As each minute: its role may send to that queue, too.
    answer = deployment.lambda_functions.invoke(FunctionName=deployment.outputs.recover_function_name)
    assert json.loads(answer["Payload"].read())["redriven"] == {"transient": 1}
    deployment.until(lambda: deployment.billed(upload.key) == 2, "it is described again")
    until_done(deployment, ask, job)


def test_a_backfill_that_is_cancelled_describes_no_more(deployment: Deployment, ask: Ask, rule_off: None) -> None:
    keys = [f"cancelled/{number}.png" for number in range(6)]
    for key in keys:
        deployment.put(key, picture())
    ask("pause")
    job = ask("backfill", "--yes")["job"]["id"]
    deployment.until(lambda: waiting(deployment) == len(keys), "all is in the queue")
    assert ask("backfill", "cancel", job)["phase"] == "cancelled"
    ask("resume")
    deployment.until(lambda: not waiting(deployment), "the queue is empty")
    assert deployment.billed(*keys) == 0
    assert [deployment.record(key) for key in keys] == [None] * len(keys)
