"""How the functions' clients of AWS wait and retry."""

from typing import Final

from botocore.config import Config

MOST_SIDE_BY_SIDE: Final = 10
"""The largest BatchSize of the template: as many threads share the clients."""

AWS_CONFIG: Final = Config(
    connect_timeout=3,
    read_timeout=10,
    retries={"mode": "standard", "total_max_attempts": 4},
    max_pool_connections=MOST_SIDE_BY_SIDE,
)
