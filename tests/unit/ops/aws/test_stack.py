"""Where the parts of a stack are."""

from __future__ import annotations

import pytest

from imagescribe_ops.aws.stack import StackOutputs
from imagescribe_ops.errors import OperationError


def test_another_stack_of_the_account_is_not_taken_for_ours() -> None:
    with pytest.raises(OperationError, match="no output BucketName"):
        StackOutputs.of_outputs({"Vpc": "x"}, "other")
