"""Lambda with the imaging function in it, which works in the test's own process and on the stage's bucket."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest

DERIVED_BUCKET = "imagescribe-derived"


def load_imaging() -> Any:
    """The function's module, with the environment that it reads when it starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        patch.setenv("IMAGESCRIBE_DERIVED_BUCKET", DERIVED_BUCKET)
        from renditions import handler  # noqa: PLC0415 - it reads the environment
    return handler


@dataclass
class ImagingInProcess:
    """A client of Lambda.

    Attributes
    ----------
    failures
        What the next invocations end with instead: an exception of the request, or words of the function's own.
    events
        What the function was invoked with.
    before_answer
        What happens in the world while the function works.
    """

    s3: Any
    failures: deque[Exception | str] = field(default_factory=deque)
    events: list[dict[str, Any]] = field(default_factory=list)
    before_answer: Callable[[], object] = lambda: None

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803
        event = json.loads(Payload)
        self.events.append(event)
        failure = self.failures.popleft() if self.failures else None
        self.before_answer()
        if isinstance(failure, Exception):
            raise failure
        if failure:
            said = {"errorType": "Runtime.ExitError", "errorMessage": failure}
            return {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": BytesIO(json.dumps(said).encode())}
        return {"StatusCode": 200, "Payload": BytesIO(json.dumps(self._handle(event)).encode())}

    def _handle(self, event: dict[str, Any]) -> Any:
        handler = load_imaging()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(handler, "_s3", self.s3)
            # No child: this process has threads.
            patch.setattr(handler, "sandbox", SimpleNamespace(run=lambda work: work()))
            return handler.handler(event, None)
