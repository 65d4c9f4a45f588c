"""How long the describe function takes to start, against the floor."""

from __future__ import annotations

import os
import subprocess
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from imagescribe_ops.deployment.build import build
from imagescribe_ops.local.emulator import plain_environment
from imagescribe_ops.local.tools import Tool, tool_binaries
from tests.bench.speed.measures import Bench, Measure

REPEATS: Final = 25

TIMED: Final = """
import sys, time
sys.path.insert(0, sys.argv[1])
begin, begin_cpu = time.perf_counter(), time.process_time()
{work}
print(time.perf_counter() - begin, time.process_time() - begin_cpu)
"""

OURS: Final = "import imagescribe.handlers.describe"

FLOOR: Final = """
import boto3, requests
from botocore.config import Config
from requests.adapters import HTTPAdapter
config = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 4})
session = boto3.Session()
clients = [session.client(name, config=config) for name in ("dynamodb", "secretsmanager", "events", "sqs")]
clients.append(session.client("s3", config=config.merge(Config(signature_version="s3v4"))))
http = requests.Session()
http.mount("https://", HTTPAdapter(pool_maxsize=10))
"""

COMPILE_SDK: Final = """
import compileall, sysconfig
compileall.compile_dir(sysconfig.get_path("purelib"), quiet=2)
"""

SETTINGS: Final = {
    "DESCRIBE_URL": "https://127.0.0.1/",
    "API_KEY_SECRET_ARN": "arn:aws:secretsmanager:us-east-1:000000000000:secret:key",
    "UPLOAD_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/uploads",
    "DEAD_LETTER_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/dead",
    "LEDGER_TABLE": "ledger",
    "CATALOG_TABLE": "catalog",
    "ANSWER_TIMEOUT_SECONDS": "60",
    "MAX_ATTEMPTS": "8",
    "RETRY_BASE_SECONDS": "4",
    "MAX_IMAGE_BYTES": "10485760",
    "RENDITIONS": "needed",
    "PROMPT_TAG_KEY": "prompt",
    "MAX_REQUESTS_PER_MINUTE": "0",
    "DAILY_BUDGET_USD": "0",
    "PRICE_PER_CALL_USD": "0.015",
    "BACKFILL_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/backfill",
    "JOBS_TABLE": "jobs",
    "IMAGING_FUNCTION": "imaging",
    "BUCKET": "pictures",
    "LABELS": "",
    "LABELS_KEY": "",
    "WRITE_ANNOTATION": "false",
}


def init(bench: Bench) -> list[Measure]:
    """Start the function of the built package and the floor in turn, each in a fresh process."""
    with TemporaryDirectory(prefix="speed-init-") as place:
        built = build(Path(place)).parent / "DescribeFunction"
        # Both load the SDK. Were it compiled at each start, that would hide what ours takes beyond the floor.
        subprocess.run([str(_python()), "-c", COMPILE_SDK], env=plain_environment(), timeout=60, check=True)
        _seconds(OURS, built), _seconds(FLOOR, built)  # the first of each reads the files from the disk
        pairs = [(_seconds(OURS, built), _seconds(FLOOR, built)) for _ in range(REPEATS)]
        packed = _packed_bytes(built, Path(place) / "code.zip")
        compiled = sum(1 for _ in built.rglob("*.pyc"))
    ours, floor = (median(pair[which].cpu for pair in pairs) for which in (0, 1))
    wall, floor_wall = (median(pair[which].wall for pair in pairs) for which in (0, 1))
    ratio = ours / floor
    return [
        Measure(
            "init of the describe function against the floor",
            f"built package, fresh process, {REPEATS} of each in turn, processor time",
            f"{ratio:.3f} ({1000 * ours:.0f} ms against {1000 * floor:.0f} ms)",
            "",
            "≤ 1.15",
            ratio <= 1.15,
            {"ratio": ratio, "ours": ours, "floor": floor, "wall_ratio": wall / floor_wall, "zip_bytes": packed},
            (
                f"zip {packed / 1e6:.2f} MB with {compiled} compiled modules; none is written at the start",
                f"by the clock {wall / floor_wall:.3f} ({1000 * wall:.0f} ms against {1000 * floor_wall:.0f} ms), "
                f"load average {os.getloadavg()[0]:.1f}",
            ),
        )
    ]


@dataclass(frozen=True, slots=True)
class Seconds:
    """What an import took: by the clock, where other programs count, and of the processor, where they don't."""

    wall: float
    cpu: float


def _seconds(work: str, code: Path) -> Seconds:
    """Run some imports in a fresh process of the emulator's interpreter, which has the runtime's boto3."""
    environment = plain_environment() | {f"IMAGESCRIBE_{name}": value for name, value in SETTINGS.items()}
    environment |= {
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "none",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [str(_python()), "-c", TIMED.format(work=work), str(code)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    wall, cpu = map(float, done.stdout.split()[-2:])
    return Seconds(wall, cpu)


@cache
def _python() -> Path:
    return tool_binaries(Tool.MINISTACK) / "python"


def _packed_bytes(code: Path, to: Path) -> int:
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(code.rglob("*")):
            if path.is_file():
                file.write(path, path.relative_to(code))
    return to.stat().st_size
