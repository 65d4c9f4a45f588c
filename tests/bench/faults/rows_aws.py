"""DynamoDB and S3 throttle and fail for a while."""

from __future__ import annotations

import time
from typing import Final
from urllib.parse import urlsplit

from imagescribe_ops.local.stack import LocalCloud
from tests.bench.faults.figures import Figures
from tests.bench.faults.judge import judge
from tests.bench.faults.proxy import Proxy
from tests.bench.faults.rig import Rig, rigged
from tests.bench.faults.scale import Scale

STORM: Final = {"dynamodb": 0.4, "s3": 0.4}
"""Of four tries that a client makes, all fail for one request in forty."""

OUTAGES: Final = ({"dynamodb": 1.0}, {"s3": 1.0})
STORM_SECONDS: Final = 12.0
OUTAGE_SECONDS: Final = 6.0


def throttled(cloud: LocalCloud, scale: Scale) -> Figures:
    """Let a storm rage while images come, and in it one outage of each service."""
    port = urlsplit(cloud.endpoint_url).port or 0
    with rigged(cloud, "aws-faults", latency_s=0.5) as rig, Proxy(port, scale.seed) as proxy:
        _lead_through(rig, proxy)
        proxy.set_odds(STORM)
        rig.put_all(scale.objects())
        shorter = 0.5 if scale.is_small else 1.0
        for outage in OUTAGES:
            time.sleep(STORM_SECONDS * shorter)
            proxy.set_odds(outage)
            time.sleep(OUTAGE_SECONDS * shorter)
            proxy.set_odds(STORM)
        time.sleep(STORM_SECONDS * shorter)
        proxy.set_odds({})
        rig.settle(900)
        notes = [", ".join(f"{count} × {what}" for what, count in sorted(proxy.struck.items()))]
        broken = [] if proxy.struck.total() > scale.images else ["hardly a request met a fault"]
        return judge(rig, "DynamoDB and S3 throttled and 5xx for a while", notes=notes, broken=broken)


def _lead_through(rig: Rig, proxy: Proxy) -> None:
    """Point the deployed describe function at the proxy, by the variables that the SDK reads."""
    name = rig.outputs.describe_function_name
    variables = rig.functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    services = {"AWS_ENDPOINT_URL_DYNAMODB": proxy.url, "AWS_ENDPOINT_URL_S3": proxy.url}
    rig.functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables | services})
