"""What a parameter takes and what it refuses, by the template's own patterns."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagescribe_ops.template import constraint_broken
from tests.sam_template import load

PARAMETERS: dict[str, dict[str, Any]] = load()["Parameters"]


def is_taken(parameter: str, value: str) -> bool:
    return constraint_broken(PARAMETERS[parameter], value) is None


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
    assert is_taken("DescribeUrl", url) is taken


AWKWARD_PREFIXES = [
    "",
    "photos/",
    "holiday photos/2026 (1)/",
    "Jörg's Fotos/Straße/",
    'say "cheese"/',
    "back\\slash/",
    "$",
    "$100/",
    "US$ {draft}/",
    "a$b{c}/",
    "#1 & more; <tag>,=+@:~!%^`|[]/",
    "../",
    "x" * 1024,
]


@pytest.mark.parametrize("prefix", AWKWARD_PREFIXES, ids=ascii)
def test_an_awkward_key_prefix_is_taken_where_a_policy_takes_it_literally(prefix: str) -> None:
    assert is_taken("KeyPrefix", prefix)


@pytest.mark.parametrize(
    "prefix",
    [
        "*",
        "a*",
        "a?",
        "?",
        "${aws:username}/",
        "a/${",
        "${}",
        "写真/",
        "🦊",
        "Š/",
        "a\nb",
        "a\tb",
        "a\n",
        "\x7f",
        "\x85",
    ],
    ids=ascii,
)
def test_a_key_prefix_that_a_policy_reads_otherwise_or_not_at_all_is_refused_in_the_users_words(prefix: str) -> None:
    said = constraint_broken(PARAMETERS["KeyPrefix"], prefix)
    assert said
    assert "* and ? and ${" in said
    assert "IAM policy" in said


def test_a_key_prefix_longer_than_a_key_is_refused() -> None:
    assert not is_taken("KeyPrefix", "x" * 1025)


@given(st.text(max_size=30))
def test_no_key_prefix_gets_through_that_is_more_than_itself_in_a_policy(prefix: str) -> None:
    if is_taken("KeyPrefix", prefix):
        assert not {"*", "?"} & set(prefix)
        assert "${" not in prefix
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
        assert all("\x20" <= character <= "\xff" for character in prefix)


def test_a_first_deployment_has_a_budget_and_a_price() -> None:
    assert float(PARAMETERS["DailyBudgetUsd"]["Default"]) > 0
    assert "--guided" in PARAMETERS["DailyBudgetUsd"]["Description"]
    assert float(PARAMETERS["PricePerCallUsd"]["Default"]) > 0
    assert not is_taken("PricePerCallUsd", "-1")
    assert is_taken("DailyBudgetUsd", "0")
