"""A bucket with versions: the version that was uploaded is described and tagged, and deletions are followed."""

from tests.stack.bodies import Uploaded
from tests.stack.deployment import Deployment, Record
from tests.stack.pictures import picture


def _described_version(versioned: Deployment, upload: Uploaded) -> Record:
    def check() -> Record | None:
        record = versioned.record(upload.key)
        return (
            record if record and (record["version_id"], record["status"]) == (upload.version_id, "described") else None
        )

    return versioned.until(check, f"version {upload.version_id} of {upload.key} is described")


def test_the_version_is_described_and_tagged(versioned: Deployment) -> None:
    upload = versioned.put("tagged.png", picture(), "album=holiday")
    record = _described_version(versioned, upload)
    assert record["tags"] == "written"
    tags = versioned.tags(upload.key, upload.version_id)
    assert tags["album"] == "holiday"
    assert tags["prompt"].startswith("Simulated description")
    assert [call.version_id for call in versioned.calls(upload.key)] == [upload.version_id]


def test_a_newer_version_takes_the_record_over_and_leaves_the_older_ones_tags(versioned: Deployment) -> None:
    older = versioned.put("replaced.png", picture())
    first = _described_version(versioned, older)
    newer = versioned.put("replaced.png", picture(width=16, height=48))
    second = _described_version(versioned, newer)
    assert second["prompt"] != first["prompt"]
    assert second["sequencer"] > first["sequencer"]
    assert versioned.tags(older.key, older.version_id)["prompt"] != versioned.tags(older.key)["prompt"]
    assert versioned.billed(older.key) == 2


def test_a_delete_marker_takes_the_record_out_and_its_deletion_brings_it_back_unpaid(versioned: Deployment) -> None:
    upload = versioned.put("marked.png", picture())
    before = _described_version(versioned, upload)
    marker = versioned.s3.delete_object(Bucket=versioned.bucket, Key=upload.key)["VersionId"]
    versioned.until_gone(upload.key)
    versioned.s3.delete_object(Bucket=versioned.bucket, Key=upload.key, VersionId=marker)
    after = _described_version(versioned, upload)
    assert (after["prompt"], after["etag"]) == (before["prompt"], before["etag"])
    assert versioned.billed(upload.key) == 1


def test_the_deletion_of_an_old_version_leaves_the_record(versioned: Deployment) -> None:
    older = versioned.put("pruned.png", picture())
    _described_version(versioned, older)
    newer = versioned.put("pruned.png", picture())
    record = _described_version(versioned, newer)
    versioned.s3.delete_object(Bucket=versioned.bucket, Key=older.key, VersionId=str(older.version_id))
    versioned.until_idle()
    assert _described_version(versioned, newer)["prompt"] == record["prompt"]
    assert versioned.billed(older.key) == 2


def test_the_deletion_of_the_only_version_takes_the_record_out(versioned: Deployment) -> None:
    upload = versioned.put("purged.png", picture())
    _described_version(versioned, upload)
    versioned.s3.delete_object(Bucket=versioned.bucket, Key=upload.key, VersionId=str(upload.version_id))
    versioned.until_gone(upload.key)


def test_setting_the_notification_up_left_no_dead_letter(versioned: Deployment) -> None:
    # S3 sends an s3:TestEvent to the queue when a notification is set up.
    assert versioned.dead_letters() == []
