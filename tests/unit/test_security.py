"""`infra/SECURITY.md` and the defences of the template that it tells of."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.factories import ROOT
from tests.sam_template import load

PAGE = (ROOT / "infra" / "SECURITY.md").read_text(encoding="utf-8")


def test_every_test_that_the_page_names_exists() -> None:
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert named
    assert {name for name in named if f"def {name}(" not in tests} == set()


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("https://api.segmind.com/v1/ideogram-describe", True),
        ("http://127.0.0.1:8080/describe", True),
        ("http://127.0.0.1", True),
        ("http://api.segmind.com/v1/ideogram-describe", False),
        ("http://127.0.0.1.evil.example/", False),
        ("http://127.0.0.1@evil.example/", False),
        ("http://localhost:8080/", False),
        ("https://user:password@api.segmind.com/", False),
        ("ftp://api.segmind.com/", False),
    ],
)
def test_a_describe_url_is_https_or_on_this_machine(url: str, taken: bool) -> None:
    pattern = load()["Parameters"]["DescribeUrl"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, url)) is taken


def test_what_is_not_encrypted_is_refused() -> None:
    assert load()["Parameters"]["RequireTls"]["Default"] == "true"
    for policy in ("BucketPolicy", "QueuePolicy"):
        document = load()["Resources"][policy]["Properties"]["PolicyDocument"]
        assert any(_refuses_plain_http(statement) for statement in document["Statement"]), policy


def _refuses_plain_http(statement: dict[str, Any]) -> bool:
    if "Fn::If" in statement:
        statement = statement["Fn::If"][1]
    return statement["Effect"] == "Deny" and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
