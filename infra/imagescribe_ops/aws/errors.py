"""boto3's errors, in words for the one who typed the command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    ProxyConnectionError,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)

from imagescribe.query.errors import QueryError
from imagescribe_ops.errors import OperationError

_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_UNKNOWN_KEY = frozenset(
    {
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "AuthFailure",
    }
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"})  # a HEAD has no body
_TOO_OFTEN = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestLimitExceeded",
        "TooManyRequestsException",
        "SlowDown",
    }
)


@contextmanager
def readable_errors() -> Iterator[None]:
    """Turn boto3's errors in the block into `OperationError`, with what to do about them."""
    try:
        yield
    except NoCredentialsError as error:
        raise OperationError(
            "There are no AWS credentials.",
            "Set AWS_PROFILE or run `aws configure`; for a stack that `imagescribe local` keeps up, add --local.",
        ) from error
    except PartialCredentialsError as error:
        raise OperationError(f"The AWS credentials are incomplete: {error}.", "Set both parts of the key.") from error
    except NoRegionError as error:
        raise OperationError("No AWS region is set.", "Add --region, or set AWS_REGION.") from error
    except ProfileNotFound as error:
        raise OperationError(_sentence(error), "See `aws configure list-profiles`.") from error
    except (SSOTokenLoadError, UnauthorizedSSOTokenError, TokenRetrievalError) as error:
        raise OperationError(_sentence(f"The AWS sign-in has ended: {error}"), "Run `aws sso login`.") from error
    except (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError, HTTPClientError) as error:
        raise OperationError(
            _sentence(f"AWS could not be reached: {error}"),
            "Check the region, the network and AWS_ENDPOINT_URL; with --local, that `imagescribe local` still runs.",
        ) from error
    except QueryError as error:
        raise OperationError(error.problem, error.advice) from error
    except ClientError as error:
        raise _of_client_error(error) from error
    except BotoCoreError as error:
        raise OperationError(_sentence(error), "Check the AWS settings (environment, ~/.aws/config).") from error
    except ValueError as error:
        if not str(error).startswith("Invalid endpoint"):  # botocore has no error of its own for it
            raise
        raise OperationError(_sentence(error), "Check AWS_ENDPOINT_URL… and endpoint_url in ~/.aws/config.") from error


def _sentence(words: object) -> str:
    return f"{str(words).removesuffix('.')}."


def _of_client_error(error: ClientError) -> OperationError:
    code = error.response.get("Error", {}).get("Code", "")
    message = error.response.get("Error", {}).get("Message", "") or code
    if code in _EXPIRED:
        return OperationError("The AWS credentials have expired.", "Sign in again (`aws sso login`, say).")
    if code in _UNKNOWN_KEY:
        return OperationError(
            f"AWS does not take the credentials ({code}).", "Check AWS_PROFILE or the key, and AWS_ENDPOINT_URL."
        )
    if code in _DENIED:
        return OperationError(
            f"{error.operation_name} is not allowed: {message}", "Use credentials that may, or ask for the permission."
        )
    if code in _TOO_OFTEN:
        return OperationError(f"AWS is asked too often: {error.operation_name} ({code}).", "Wait a minute; try again.")
    return OperationError(f"{error.operation_name} failed ({code}): {message}", "Look the code up in AWS's manual.")
