"""What the template tells the functions is checked once, at the start, and a wrong setting is named."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagescribe.errors import SettingsError
from imagescribe.settings import Renditions, Settings

KINDS = {field.name: field.type for field in fields(Settings)}
# Each setting has another value than every other, so that none can be read in another's place.
VALUES = {
    name: f"a {name}" if kind is str else Renditions.ALWAYS if kind is Renditions else 10 + place
    for place, (name, kind) in enumerate(KINDS.items())
}
ENVIRONMENT = {f"IMAGESCRIBE_{name.upper()}": str(value) for name, value in VALUES.items()}
NUMERIC_VARIABLES = [f"IMAGESCRIBE_{name.upper()}" for name, kind in KINDS.items() if kind in (int, float)]


def test_each_setting_is_read_from_the_variable_of_its_name() -> None:
    settings = Settings.from_environment(ENVIRONMENT | {"PATH": "/bin"})
    assert {name: getattr(settings, name) for name in KINDS} == VALUES
    assert all(isinstance(getattr(settings, name), kind) for name, kind in KINDS.items() if isinstance(kind, type))


@pytest.mark.parametrize("variable", ENVIRONMENT)
def test_a_missing_setting_is_named(variable: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        Settings.from_environment({name: value for name, value in ENVIRONMENT.items() if name != variable})


@pytest.mark.parametrize("variable", NUMERIC_VARIABLES)
@pytest.mark.parametrize("value", ["", "many", "-1", "nan", "inf", "-inf", "1e999"])
def test_a_number_that_is_none_or_out_of_range_is_named(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        Settings.from_environment(ENVIRONMENT | {variable: value})


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("max_attempts", 1),
        ("max_image_bytes", 1),
        ("retry_base_seconds", 0.001),
        ("answer_timeout_seconds", 0.001),
        ("max_requests_per_minute", 0),  # no limit of ours
        ("daily_budget_usd", 0),  # no budget
        ("price_per_call_usd", 0),  # a model of one's own
    ],
)
def test_the_least_that_makes_sense_is_taken(name: str, least: float) -> None:
    settings = Settings.from_environment(ENVIRONMENT | {f"IMAGESCRIBE_{name.upper()}": str(least)})
    assert getattr(settings, name) == least


@pytest.mark.parametrize("variable", ["MAX_ATTEMPTS", "RETRY_BASE_SECONDS", "MAX_IMAGE_BYTES"])
def test_nothing_is_no_amount_of_attempts_seconds_or_bytes(variable: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        Settings.from_environment(ENVIRONMENT | {f"IMAGESCRIBE_{variable}": "0"})


def test_renditions_of_another_kind_are_named() -> None:
    with pytest.raises(SettingsError, match="IMAGESCRIBE_RENDITIONS must be needed or always, not 'sometimes'"):
        Settings.from_environment(ENVIRONMENT | {"IMAGESCRIBE_RENDITIONS": "sometimes"})


def test_no_image_goes_as_it_is_where_all_are_rendered() -> None:
    assert Settings.from_environment(ENVIRONMENT).max_bytes_as_they_are == 0
    needed = Settings.from_environment(ENVIRONMENT | {"IMAGESCRIBE_RENDITIONS": "needed"})
    assert needed.max_bytes_as_they_are == needed.max_image_bytes


@given(st.sampled_from(NUMERIC_VARIABLES), st.floats().map(str) | st.text())
def test_no_value_raises_anything_else_or_lets_a_useless_number_through(variable: str, value: str) -> None:
    try:
        settings = Settings.from_environment(ENVIRONMENT | {variable: value})
    except SettingsError:
        return
    assert settings.max_attempts >= 1
    assert settings.max_image_bytes >= 1
    assert settings.retry_base_seconds > 0
    assert settings.max_requests_per_minute >= 0
    assert settings.daily_budget_usd >= 0
    assert settings.price_per_call_usd >= 0
