"""What of AWS's errors is told, and what to do about it."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, InvalidConfigError
from typer.testing import CliRunner

from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.aws.errors import readable_errors
from imagescribe_ops.catalog_view import CatalogView
from imagescribe_ops.commands.main import app
from imagescribe_ops.errors import OperationError
from tests.unit.stack_in_moto import StackInMoto


def told(error: Exception) -> OperationError:
    with pytest.raises(OperationError) as caught, readable_errors():
        raise error
    return caught.value


def refusal(code: str, message: str = "", status: int = 400) -> ClientError:
    answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "DoIt")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "code", ["Throttling", "ThrottlingException", "TooManyRequestsException", "SlowDown", "RequestLimitExceeded"]
)
def test_what_aws_was_asked_too_often_is_to_be_asked_later(code: str) -> None:
    error = told(refusal(code, "Rate exceeded"))
    assert "DoIt" in error.problem
    assert error.advice.startswith("Wait a minute")


def test_a_refused_head_request_whose_code_is_its_status_is_a_permission_that_is_missing() -> None:
    assert "is not allowed" in told(refusal("403", "Forbidden", 403)).problem


def test_a_sentence_of_botocores_gets_no_second_full_stop() -> None:
    assert told(InvalidConfigError(error_msg="It is wrong.")).problem == "It is wrong."
    assert told(InvalidConfigError(error_msg="It is wrong")).problem == "It is wrong."


def test_a_services_own_address_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "nowhere")
    with pytest.raises(OperationError, match="Invalid endpoint: nowhere") as caught, readable_errors():
        Connection(region="us-east-1").sqs()
    assert "AWS_ENDPOINT_URL" in caught.value.advice
    with pytest.raises(ValueError, match="ours"), readable_errors():
        raise ValueError("ours")


def test_no_error_of_aws_ends_a_command_with_a_traceback(
    deployed: StackInMoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_arguments: object, **_options: object) -> None:
        raise refusal("InternalServerError", "Come back later.", 500)

    monkeypatch.setattr(CatalogView, "find", refused)
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: DoIt failed (InternalServerError): Come back later.")
