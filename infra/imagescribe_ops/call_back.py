"""Images that were told to wait are sent on their way at once, once there is nothing any more to wait for.

Their messages are hidden in their queues until their times, and nobody can show them sooner; but a second message of
the same event goes on where the first one was, and whichever comes later finds its work done. What is part of a
backfill is called back by the backfill's queue, behind what is uploaded today.
"""

from __future__ import annotations

from typing import Final

from imagescribe.aws.sqs_batches import send_all
from imagescribe.model.events import Upload, upload_body
from imagescribe.model.record import Status
from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.aws.errors import readable_errors
from imagescribe_ops.aws.queue_depth import QueueDepth
from imagescribe_ops.aws.stack import StackOutputs
from imagescribe_ops.catalog_view import CatalogView, ImageRecord

SOURCE: Final = "imagescribe.resume"

MAX_CALLED_BACK: Final = 500
"""Images that are called back at once by each queue: 50 requests, and the others come within two minutes."""


def call_back(connection: Connection, outputs: StackOutputs) -> int:
    """Call back who waits, the newest `MAX_CALLED_BACK` at the most, and return how many.

    Where as many messages as that can be received already, the line is busy without.
    """
    catalog = CatalogView(connection, outputs.catalog_table_name)
    waiting = catalog.find(bucket=outputs.bucket_name, status=Status.WAITING, limit=MAX_CALLED_BACK).records
    backfill_queue_url = outputs.backfill_queue_url or outputs.upload_queue_url
    called = _call(connection, outputs.upload_queue_url, [record for record in waiting if not record.job])
    return called + _call(connection, backfill_queue_url, [record for record in waiting if record.job])


def _call(connection: Connection, queue_url: str, waiting: list[ImageRecord]) -> int:
    if not waiting:
        return 0
    count = max(0, MAX_CALLED_BACK - QueueDepth.read(connection, queue_url).visible)
    bodies = [upload_body(_upload_of(record), SOURCE) for record in waiting[:count]]
    with readable_errors():
        return send_all(connection.sqs(), queue_url, bodies)


def _upload_of(record: ImageRecord) -> Upload:
    """Return the upload that a record is of."""
    return Upload(
        record.bucket,
        record.key,
        record.version_id or None,
        record.etag,
        record.size,
        record.sequencer,
        record.uploaded_at,
        job=record.job,
    )
