"""Waiting for images to come to their end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

from imagescribe_ops.catalog_view import UNFINISHED, CatalogView, ImageRecord

LOOK_SECONDS = 0.5


def until_final(
    catalog: CatalogView,
    images: Mapping[str, str],
    *,
    seconds: float | None = None,
    waits: Callable[[list[ImageRecord]], None] = lambda _records: None,
    look_seconds: float = LOOK_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[ImageRecord]:
    """Yield each image's record as soon as its status is final.

    Parameters
    ----------
    images
        The ETag of each image that is waited for, empty for any: the record of what it was before does not count.
    seconds
        How long to wait while none comes to its end; None waits for ever. Then those that are left are not yielded.
    waits
        Called after each look with the records, as far as there are any, of those that are not final.
    """
    left, last = dict(images), clock()
    while left:
        found = [each for each in catalog.get_many(left) if left[each.image] in ("", each.etag)]
        for record in found:
            if record.status not in UNFINISHED:
                del left[record.image]
                last = clock()
                yield record
        if left and seconds is not None and clock() - last >= seconds:
            return
        if left:
            waits([each for each in found if each.image in left])
            sleep(look_seconds)
