"""How the functions' clients of AWS wait, retry and present themselves."""

from typing import Final

from botocore.config import Config

MAX_SIDE_BY_SIDE: Final = 10
"""The largest BatchSize of the template: as many threads share the clients."""

AWS_CONFIG: Final = Config(
    # A service that does not answer costs a request 22 s at the most, so that a batch ends before its invocation does.
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=MAX_SIDE_BY_SIDE,
)
