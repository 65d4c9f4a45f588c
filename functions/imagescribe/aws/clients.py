"""How the functions' clients of AWS wait, retry and present themselves."""

from typing import Final

from botocore.config import Config

MAX_SIDE_BY_SIDE: Final = 10
"""The largest BatchSize of the template: as many threads share the clients."""

CONNECT_SECONDS: Final = 2
READ_SECONDS: Final = 5
"""A service that does not answer costs a request 22 s at the most, so that a batch ends before its invocation does."""

AWS_CONFIG: Final = Config(
    connect_timeout=CONNECT_SECONDS,
    read_timeout=READ_SECONDS,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=MAX_SIDE_BY_SIDE,
)
