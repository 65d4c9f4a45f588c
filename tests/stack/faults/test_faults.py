"""The quick rows of the table of faults, with a few images each."""

import pytest

from imagescribe_ops.local.stack import LocalCloud
from tests.bench.faults.rows import ROWS
from tests.bench.faults.scale import Scale
from tests.stack.conftest import Stacks

QUICK = [name for name, row in ROWS.items() if row.is_quick]


@pytest.fixture
def cloud(stacks: Stacks) -> LocalCloud:
    return stacks.cloud


@pytest.mark.parametrize("name", QUICK)
def test_nothing_is_lost_and_nothing_is_paid_twice(cloud: LocalCloud, name: str) -> None:
    figures = ROWS[name].run(cloud, Scale(images=20, seed=1, is_small=True))
    assert figures.broken == ()
    assert figures.described == figures.images
