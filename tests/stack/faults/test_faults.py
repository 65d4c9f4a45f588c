"""The quick rows of the table of faults, with a few images each, beside one another."""

from functools import cache

import pytest

from tests.bench.faults.figures import Figures
from tests.bench.faults.rows import ROWS
from tests.bench.faults.scale import Scale
from tests.stack.conftest import Stacks, Work


@cache
def row(name: str) -> Work:
    def run(stacks: Stacks) -> Figures:
        return ROWS[name].run(stacks.cloud, Scale(images=20, seed=1, is_small=True))

    return run


QUICK = [name for name, each in ROWS.items() if each.is_quick]


@pytest.mark.parametrize((), [pytest.param(marks=pytest.mark.beside(work=row(name)), id=name) for name in QUICK])
def test_nothing_is_lost_and_nothing_is_paid_twice(outcome: Figures) -> None:
    assert outcome.broken == ()
    assert outcome.described == outcome.images
