"""Start a gateway, and let its model describe something before anybody waits for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from imagescribe_ops.contract.answers import Answer
from imagescribe_ops.errors import OperationError
from imagescribe_ops.gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from imagescribe_ops.gateway.gateway import Call
    from imagescribe_ops.gateway.server import RunningGateway


def listening(
    settings: GatewaySettings,
    host: str = "127.0.0.1",
    port: int = 0,
    report: Callable[[Call], None] = lambda _: None,
) -> RunningGateway:
    """Return a gateway that listens, to be entered as a context; see `RunningGateway`.

    Raises
    ------
    OperationError
        It can't listen there.
    """
    # Web server and HTTP client take a third of a second to import, which no other command needs.
    from imagescribe_ops.gateway.server import RunningGateway  # noqa: PLC0415

    try:
        return RunningGateway(settings, host, port, report)
    except OSError as error:
        raise OperationError(
            f"Nothing can listen on {host}:{port}: {error.strerror}.", "Choose another --port, or 0 for a free one."
        ) from error


def first_call(gateway: RunningGateway) -> float:
    """Let the model describe a picture of our own, and return how many seconds that took.

    What is wrong shows here, with what to do. It may take long: a model that is not in memory yet is loaded for it.

    Raises
    ------
    OperationError
        It did not describe it.
    """
    answer = gateway.check()
    if answer.because == "described":
        return float(answer.headers["x-generation-time"])
    settings = gateway.gateway.settings
    words = str(json.loads(answer.body)["error"])
    problem = f"The model {settings.model} described nothing: {words}"
    raise OperationError(problem if problem.endswith(".") else f"{problem}.", _advice(answer, settings))


def _advice(answer: Answer, settings: GatewaySettings) -> str:
    match answer.because:
        case "unreachable":
            return "Does it run there? Ollama does after `ollama serve`, at http://127.0.0.1:11434/v1."
        case "no such model" | "redirect":
            with_path = "" if settings.model_url.rstrip("/").endswith("/v1") else "Most servers' URL ends with /v1. "
            return f"{with_path}Is the model there? Ollama gets it with `ollama pull {settings.model}`."
        case "model's key":
            return "Give the key that it takes in a file, with --model-key-file."
        case "refused":
            return "It has to be a model that sees pictures, such as qwen2.5vl; what it says may ask for an --option."
        case "time-out":
            return "Is it too large for this machine? Take a smaller one."
        case _:
            return "See what its server says, and try again."
