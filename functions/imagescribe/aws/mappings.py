"""The event source mappings that feed the describe function, disabled while a long pause holds.

A mapping that is enabled receives its backlog again and again only to defer it; one that is disabled costs
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from imagescribe.aws.s3 import error_code

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

LONG_PAUSE_SECONDS: Final = 120.0
"""A pause that lasts this much longer disables them: the function that would enable them runs each minute."""


class Mappings:
    """Event source mappings by their UUIDs."""

    def __init__(self, client: LambdaClient, ids: Sequence[str]) -> None:
        self._client = client
        self._ids = ids

    def enable(self, *, enabled: bool) -> bool:
        """Enable or disable them all. False where one is changing right now: try again later."""
        settled = True
        for mapping in self._ids:
            try:
                self._client.update_event_source_mapping(UUID=mapping, Enabled=enabled)
            except ClientError as error:
                if error_code(error) != "ResourceInUseException":
                    raise
                settled = False
        return settled
