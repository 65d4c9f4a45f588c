"""What all else stands on: the credentials and the stack."""

from __future__ import annotations

from imagescribe_ops.doctor.examination import Examination
from imagescribe_ops.doctor.findings import Verdict, broken, well
from imagescribe_ops.doctor.permissions import missing_permission
from imagescribe_ops.errors import OperationError


def credentials(examination: Examination) -> Verdict:
    """Whether AWS takes the credentials."""
    try:
        return well(f"{examination.caller_arn} in {examination.region or 'no region'}")
    except OperationError as error:
        return broken(error.problem, error.advice)


def stack(examination: Examination) -> Verdict:
    """Whether the stack is there, and is one of ImageScribe."""
    try:
        return well(f"{examination.stack} with the bucket {examination.outputs.bucket_name}")
    except OperationError as error:
        if error.__cause__ and missing_permission(error.__cause__):
            raise
        return broken(error.problem, error.advice)
