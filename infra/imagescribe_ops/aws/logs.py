"""What the functions log, read from CloudWatch Logs: one line for each outcome, and whatever went wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from imagescribe.model.times import iso_utc
from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.aws.errors import readable_errors
from imagescribe_ops.aws.stack import StackOutputs

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

LATE_SECONDS = 30.0
"""CloudWatch shows a line some seconds late, and then behind others that are newer."""

PLATFORM = ("START RequestId", "END RequestId", "REPORT RequestId", "INIT_START", "EXTENSION")
NOT_OURS = frozenset({"_aws", "type"})
"""Fields of metrics in CloudWatch's embedded format, and of what Lambda itself writes as JSON."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a function's log.

    Attributes
    ----------
    at
        Epoch seconds.
    text
        The line as it was written.
    fields
        Its fields, where it is JSON.
    """

    at: float
    text: str
    fields: dict[str, Any] = field(hash=False, compare=False)

    @classmethod
    def of_event(cls, timestamp: int, message: str) -> Self:
        """Read a log event."""
        try:
            fields = json.loads(message)
        except ValueError:
            fields = None
        return cls(timestamp / 1000, message.rstrip(), fields if isinstance(fields, dict) else {})

    @property
    def time(self) -> str:
        """When it was written, ISO 8601 in UTC."""
        return iso_utc(self.at)

    @property
    def image(self) -> str:
        """The image that it tells of, or nothing."""
        return str(self.fields.get("image") or "")

    @property
    def status(self) -> str:
        """What became of the image, in one word: described, waiting, dead, …; ERROR of what is no outcome."""
        match self.fields:
            case {"message": "done", "result": str(result)}:
                return result.partition(":")[0]
            case {"message": "deferred"}:
                return "waiting"
            case {"message": "dead letter"}:
                return "dead"
            case {"level": str(level)}:
                return level
        return ""

    @property
    def detail(self) -> str:
        """What it says besides."""
        facts = self.fields
        match facts:
            case {"message": "done", "result": str(result)}:
                return result.partition(":")[2].strip()
            case {"message": "deferred", "until": until, "why": why}:
                return f"until {until}: {why}"
            case {"message": "dead letter", "reason": reason, "detail": detail}:
                return f"{reason}: {detail}"
            case {"message": message}:
                error = facts.get("exception_name") or ""
                return " ".join(filter(None, (str(message), str(error))))
        return self.text


class Logs:
    """The log of one function of a stack."""

    def __init__(self, connection: Connection, function_name: str) -> None:
        self._client: CloudWatchLogsClient = connection.logs()
        with readable_errors():
            configuration = connection.lambda_functions().get_function_configuration(FunctionName=function_name)
        self.group = configuration.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{function_name}"

    @classmethod
    def of_stack(cls, connection: Connection, outputs: StackOutputs) -> Self:
        """Return the log of the function that describes."""
        return cls(connection, outputs.describe_function_name)

    def read(self, since: float, image: str = "") -> list[LogLine]:
        """Return the lines since a time (epoch seconds), oldest first: of one image, or all that functions wrote."""
        quoted = image.replace("\\", "\\\\").replace('"', '\\"')
        with readable_errors():
            pages = self._client.get_paginator("filter_log_events").paginate(
                logGroupName=self.group, startTime=int(since * 1000), filterPattern=f'"{quoted}"' if image else ""
            )
            lines = [LogLine.of_event(each["timestamp"], each["message"]) for page in pages for each in page["events"]]
        own = [line for line in lines if not (line.text.startswith(PLATFORM) or NOT_OURS & line.fields.keys())]
        return sorted((line for line in own if not image or line.image == image), key=lambda line: line.at)

    def follow(
        self,
        since: float,
        image: str = "",
        *,
        seconds: float = 1.0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Iterator[list[LogLine]]:
        """Yield new lines, again and again, without end; none where there are none."""
        seen: set[LogLine] = set()
        while True:
            lines = self.read(since, image)
            new = [line for line in lines if line not in seen]
            yield new
            since = max(since, clock() - LATE_SECONDS)
            seen = {line for line in seen.union(new) if line.at >= since}
            sleep(seconds)
