"""Takes ImageScribe's events off a queue; each body is an event as `events/sent/` has them."""

import json
import logging
from typing import Any


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Take a batch. What fails comes back by itself, and ends in the dead-letter queue if it fails five times."""
    failed = []
    for record in event["Records"]:
        try:
            consume(json.loads(record["body"]))
        except Exception:  # whatever it is, the others of the batch go on
            logging.exception("failed: %s", record["body"])
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}


def consume(event: dict[str, Any]) -> None:
    """Do your work here. An event may come twice: the same detail type, image and sequencer."""
    detail = event["detail"]
    print(json.dumps([event["detail-type"], detail["image"], detail.get("prompt") or detail.get("error")]))
