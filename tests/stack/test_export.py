"""An export of a deployed stack: awkward keys in every format, and text files that stay in their folder."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from imagescribe_ops.commands.main import app
from imagescribe_ops.export import export as module
from tests.stack.deployment import Deployment
from tests.stack.pictures import picture

NAMES = ["../../up.png", "=1+1.png", "Café + crème.png", "a.jpg", "a.png", "🎉.png"]
KEYS = [f"export/{name}" for name in NAMES]


@pytest.fixture(scope="module")
def exported(stack: Deployment) -> Deployment:
    for key in KEYS:
        stack.put(key, picture())
    stack.put("export/notes.txt", b"plain text")
    stack.until_described(*KEYS)
    stack.until_status("skipped", "export/notes.txt")
    return stack


def run(stack: Deployment, *arguments: object, ends_with: int = 0) -> Result:
    """Run the command with the settings that a shell would give it."""
    cloud = stack.stack.cloud
    environment = {
        "AWS_ENDPOINT_URL": cloud.endpoint_url,
        "AWS_REGION": cloud.region,
        "AWS_ACCESS_KEY_ID": cloud.credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": cloud.credentials.secret_access_key,
    }
    command = ["export", "--stack", stack.stack.name, "--prefix", "export/", *map(str, arguments)]
    result = CliRunner().invoke(app, command, env=environment)
    assert result.exit_code == ends_with, result.output
    return result


def test_every_record_is_exported_as_it_is_in_the_catalog(exported: Deployment) -> None:
    lines = [json.loads(line) for line in run(exported, "--status", "described").stdout.splitlines()]
    assert [line["key"] for line in lines] == KEYS  # S3's order, and DynamoDB's
    for line in lines:
        record = exported.record(line["key"])
        assert record is not None
        assert {name: line[name] for name in ("image", "prompt", "etag", "sequencer", "tags")} == {
            name: record[name] for name in ("image", "prompt", "etag", "sequencer", "tags")
        }


def test_a_cursor_goes_on_with_the_table_that_is_deployed(exported: Deployment, tmp_path: Path) -> None:
    everything = run(exported, "-o", tmp_path / "whole.csv", "--format", "csv")
    assert "Exported 7 of 7 records" in everything.stderr
    query = module.Query(exported.bucket, "export/", form="csv")
    content = (tmp_path / "whole.csv").read_bytes()
    with (tmp_path / "whole.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["key"] for row in csv.DictReader(file)] == sorted([*KEYS, "export/notes.txt"])
    left = content.index(f"s3://{exported.bucket}/{KEYS[3]}".encode())  # where its row begins
    (tmp_path / "parts.csv").write_bytes(content[:left])
    cursor = module.Cursor(KEYS[2], left).encoded(query)
    run(exported, "-o", tmp_path / "parts.csv", "--format", "csv", "--after", cursor)
    assert (tmp_path / "parts.csv").read_bytes() == content


def test_text_files_stay_in_their_folder(exported: Deployment, tmp_path: Path) -> None:
    result = run(exported, "--sidecars", tmp_path / "captions")
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {f"captions/export/{name}.txt" for name in ("=1+1", "Café + crème", "a", "🎉")}
    assert "up.png: its key leads out of the folder" in result.stderr
    assert f"No sidecar for s3://{exported.bucket}/export/a.png: " in result.stderr
