"""How the functions' clients of AWS wait, retry and present themselves."""

from typing import Final

from botocore.config import Config

MOST_SIDE_BY_SIDE: Final = 10
"""The largest BatchSize of the template: as many threads share the clients."""

AWS_CONFIG: Final = Config(
    connect_timeout=3,
    read_timeout=10,
    retries={"mode": "standard", "total_max_attempts": 4},
    max_pool_connections=MOST_SIDE_BY_SIDE,
    # These two spare a fifth of the processor's time of a request: types and tests have checked the parameters before
    # they ship, and botocore would put its own name together anew each time.
    parameter_validation=False,
    user_agent="imagescribe",
)
