"""Rows of the benches are run by their names."""

from collections.abc import Callable, Sequence

import pytest

from tests import sam_template
from tests.bench.faults import __main__ as faults
from tests.bench.faults.rows import ROWS as FAULTS
from tests.bench.speed import __main__ as speed
from tests.bench.speed.rows_init import SETTINGS

type Main = Callable[[Sequence[str]], int]

BENCHES = [pytest.param(speed.main, speed.ROWS, id="speed"), pytest.param(faults.main, FAULTS, id="faults")]


@pytest.fixture(autouse=True)
def _nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    for bench in (speed, faults):
        monkeypatch.setattr(bench, "LocalCloud", lambda **_: pytest.fail("something was started"))


@pytest.mark.parametrize(("main", "rows"), BENCHES)
def test_a_name_that_is_no_row_is_answered_with_those_there_are(
    main: Main, rows: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([next(iter(rows)), "nonesuch"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "there is no row nonesuch; there are" in said
    assert all(name in said for name in rows)


@pytest.mark.parametrize(("main", "rows"), BENCHES)
def test_rows_are_listed_with_what_they_do(main: Main, rows: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--list"])
    assert not ended.value.code
    told = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert told.keys() >= set(rows)
    assert all(told.values())


def test_the_function_whose_start_is_timed_has_what_the_template_tells_it() -> None:
    of_all = sam_template.load()["Globals"]["Function"]["Environment"]["Variables"]
    of_it = sam_template.resources("AWS::Serverless::Function")["DescribeFunction"]["Environment"]["Variables"]
    names = {name.removeprefix("IMAGESCRIBE_") for name in of_all | of_it if name.startswith("IMAGESCRIBE_")}
    assert names <= SETTINGS.keys()
