"""What stacks leave behind, and the secrets in it: API keys, and URLs that are signed."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from tests.stack.deployment import Deployment

SIGNED = re.compile(r"X-Amz-(?:Signature(?:=|%3D)[0-9a-f]{8}|Security-Token(?:=|%3D)(?!REDACTED))", re.IGNORECASE)


def left_behind(deployments: Sequence[Deployment]) -> Iterator[str]:
    """Return all that is in the logs, catalogs, ledgers and dead-letter queues of an emulator's stacks."""
    for deployment in deployments[:1]:
        yield from (f"log: {line}" for line in deployment.log_lines(every_stack=True))
    for deployment in deployments:
        yield from (f"record: {record}" for record in deployment.records())
        yield from (f"ledger: {item}" for item in deployment.ledger())
        yield from (f"dead letter: {each}" for each in deployment.dead_letters())


def secrets_in(keys: Collection[str], texts: Iterable[str]) -> list[str]:
    """Return the beginnings of those texts that have a key or a signed URL in them."""
    return [text[:300] for text in texts if SIGNED.search(text) or any(key in text for key in keys)]
