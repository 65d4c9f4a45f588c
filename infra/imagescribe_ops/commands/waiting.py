"""Waiting for images to come to their end, with a word on why it takes long."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from imagescribe_ops.catalog_view import CatalogView, ImageRecord
from imagescribe_ops.display import Steps
from imagescribe_ops.following import until_final
from imagescribe_ops.operations import Operations
from imagescribe_ops.standing import pause_sentence

ASK_SECONDS = 5.0
"""How often the stack is asked whether it is paused."""


def wait_for(
    operations: Operations, images: Mapping[str, str], steps: Steps, timeout: float | None
) -> Iterator[ImageRecord]:
    """Yield the record of each image when it is final, and tell on the way what they wait for, once for each reason.

    Parameters
    ----------
    images
        The ETag of each, empty for any.
    """
    catalog = CatalogView(operations.connection, operations.outputs.catalog_table_name)
    told: set[str] = set()
    done, asked_at = 0, time.monotonic()

    def tell(reason: str) -> None:
        if reason and reason not in told:
            told.add(reason)
            steps.say(reason)

    def waits(waiting: list[ImageRecord]) -> None:
        nonlocal asked_at
        steps.show(f"Waiting for the prompts: {done} of {len(images)}")
        if time.monotonic() - asked_at < ASK_SECONDS:
            return
        asked_at = time.monotonic()
        if sentence := pause_sentence(operations.intake()):
            tell(sentence)
        else:
            for record in waiting[:3]:
                tell(record.error and f"{record.key} waits: {record.error}")

    steps.begin("Waiting for the prompts")
    for record in until_final(catalog, images, seconds=timeout, waits=waits):
        done += 1
        yield record
    steps.end()
    if done < len(images):
        left = len(images) - done
        some = "1 image has" if left == 1 else f"{left} images have"
        steps.say(f"{some} not come to an end in this time. {operations.status().why}")
