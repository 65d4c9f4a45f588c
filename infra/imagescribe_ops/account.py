"""The account at the endpoint: whether the stack's key is taken, and what is left, by a look-up that is free."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import requests

from imagescribe.aws.secrets import ApiKey
from imagescribe.errors import NoApiKeyError
from imagescribe.model.answers import credits_usd, error_words
from imagescribe.model.text import redact
from imagescribe_ops.aws.errors import readable_errors
from imagescribe_ops.errors import OperationError
from imagescribe_ops.operations import Operations

SECONDS = 20.0


class NoAnswerError(OperationError):
    """The endpoint said nothing of the key: it could not be asked from here, or did not answer as it should."""


def balance_usd(operations: Operations) -> float | None:
    """Return what is left on the account; None where the endpoint takes the key and says nothing of a balance.

    Raises
    ------
    OperationError
        There is no key, the endpoint refuses it, or it can't be asked.
    """
    url = urljoin(operations.parameters.get("DescribeUrl", ""), "get-user-credits")
    with readable_errors():
        try:
            key = ApiKey(operations.connection.secretsmanager(), operations.outputs.api_key_secret_arn).get()
        except NoApiKeyError as error:
            raise OperationError("There is no usable API key.", f"{str(error).capitalize()}.") from error
    host = urlsplit(url).netloc
    try:
        with requests.Session() as session:
            session.trust_env = urlsplit(url).hostname != "127.0.0.1"  # no proxy leads to this machine itself
            answer = session.get(url, headers={"x-api-key": key}, timeout=SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        raise NoAnswerError(
            f"{host} could not be asked ({type(error).__name__}).", "Check the network, and the stack's DescribeUrl."
        ) from None
    said = error_words(redact(answer.text, key))[:200]
    if answer.status_code in {401, 403}:
        raise OperationError(
            f"{host} refuses the key ({answer.status_code}: {said}).", "Store another with `imagescribe key set`."
        )
    if answer.status_code != 200:
        raise NoAnswerError(
            f"{host} did not answer with a balance ({answer.status_code}: {said}).",
            "Try again in a minute; if it stays so, ask the endpoint's operator.",
        )
    return credits_usd(answer.text)
