"""The stack's query function, asked by signed GETs with the user's own credentials, as any program would ask it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.aws.stack import StackOutputs
from imagescribe_ops.errors import OperationError

TIMEOUT_SECONDS: Final = (5, 35)
"""To connect and to answer: the function may take 29 s."""


class QueryClient:
    """Asks the query function of one stack."""

    def __init__(self, connection: Connection, outputs: StackOutputs) -> None:
        if not outputs.query_url:
            raise OperationError("The stack has no query function.", "Deploy this version: `imagescribe deploy`.")
        self._connection = connection
        self._url = connection.reachable(outputs.query_url).rstrip("/")

    def get(self, path: str, asked: Mapping[str, str | int] | None = None) -> dict[str, Any]:
        """Return what the function answers, which is JSON.

        Raises
        ------
        OperationError
            It refuses or can't be reached; what to do is in the message.
        """
        return read_answer(self.ask(path, asked))

    def ask(self, path: str, asked: Mapping[str, str | int] | None = None) -> requests.Response:
        """Return the function's answer as it is, whatever its status.

        Raises
        ------
        OperationError
            It can't be reached.
        """
        query = urlencode(asked or {}, quote_via=quote, safe="")
        url = f"{self._url}{path}" + (f"?{query}" if query else "")
        request = AWSRequest("GET", url, headers={"Accept": "application/json"})
        SigV4Auth(self._connection.credentials(), "lambda", self._connection.region or "").add_auth(request)
        return _get(url, "The query function", dict(request.headers))

    def fetch(self, url: str) -> bytes:
        """Return what is under a presigned URL that the function gave.

        Raises
        ------
        OperationError
            It can't be read.
        """
        answer = _get(url, "The bucket")
        if not answer.ok:
            raise OperationError(f"The bucket refused the picture ({answer.status_code}).", "Reload the page.")
        return answer.content


def _get(url: str, what: str, headers: Mapping[str, str] | None = None) -> requests.Response:
    with requests.Session() as session:
        # A proxy cannot reach this machine's own loopback address.
        session.trust_env = urlsplit(url).hostname != "127.0.0.1"
        try:
            return session.get(url, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False)
        except requests.RequestException as error:
            raise OperationError(
                f"{what} could not be reached: {type(error).__name__}.",
                "Check the network; with --local, see that `imagescribe local` still runs.",
            ) from error


def read_answer(answer: requests.Response) -> dict[str, Any]:
    """Return the JSON of an answer; an error is raised as `OperationError`, whoever gave it."""
    try:
        body: Any = answer.json()
    except ValueError:
        body = {}
    if answer.ok and isinstance(body, dict):
        return body
    if isinstance(body, dict) and "advice" in body:
        raise OperationError(str(body["detail"]), str(body["advice"]))
    if answer.status_code in (401, 403):
        raise OperationError(
            "The query function may not be asked with these credentials.",
            "They need lambda:InvokeFunctionUrl and lambda:InvokeFunction on it.",
        )
    raise OperationError(
        f"The query function failed ({answer.status_code}): {json.dumps(body)[:200]}",
        "Try again; if it stays so, its log in CloudWatch says why.",
    )
