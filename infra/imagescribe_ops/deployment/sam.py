"""The locked SAM CLI, run away from the user's own settings."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from imagescribe_ops.errors import OperationError
from imagescribe_ops.local.emulator import no_proxy_for_loopback
from imagescribe_ops.local.processes import Child
from imagescribe_ops.local.tools import Tool, tool_binaries
from imagescribe_ops.project import PROJECT_DIRECTORY

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def sam(
    verb: str,
    options: Mapping[str, str | Path],
    flags: Sequence[str],
    *,
    directory: Path,
    extra: Mapping[str, str],
    seconds: float,
) -> None:
    """Run `sam VERB` with the pairs of options and then the flags.

    Parameters
    ----------
    directory
        Where files that it needs for the time of the run are written, and what it says.
    extra
        What its environment has besides the user's own that is not of AWS.

    Raises
    ------
    OperationError
        It failed; what it said is in the message.
    """
    binaries = tool_binaries(Tool.SAM)
    # An empty one: the project's samconfig.toml is for real deployments.
    config = directory / "samconfig.toml"
    config.write_text("version = 0.1\n", encoding="utf-8")
    arguments = [str(part) for pair in {**options, "--config-file": config}.items() for part in pair]
    run(
        f"sam {verb}",
        [binaries / "sam", verb, *arguments, *flags],
        environment={**_environment(binaries, directory), **extra},
        log_path=directory / f"sam-{verb}.log",
        seconds=seconds,
    )


def run(
    name: str, command: Sequence[str | Path], *, environment: Mapping[str, str], log_path: Path, seconds: float
) -> None:
    """Run a program that ends by itself; see `sam`."""
    with (
        log_path.open("w+b") as log,
        Child(command, environment=environment, output=log, directory=PROJECT_DIRECTORY) as child,
    ):
        try:
            status = child.wait(seconds)
        except TimeoutError:
            raise OperationError(
                f"`{name}` took longer than {seconds:.0f} s:\n{_essence(log_path)}", "Try again."
            ) from None
    if status != 0:
        raise OperationError(f"`{name}` failed:\n{_essence(log_path)}", "What it said is above.")


def _environment(binaries: Path, directory: Path) -> dict[str, str]:
    # HOME stays, for pip's and the network's settings; everything that could choose another account, region,
    # template or Python goes, and what keeps SAM from being compiled once, half of what it takes.
    gone = ("AWS_", "SAM_", "PYTHONHOME", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "DOCKER_HOST")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(gone)}
    # The SAM CLI's notes about itself: not in the user's home, and no look for a newer version over the network.
    notes = directory / "sam-notes"
    notes.mkdir(exist_ok=True)
    note = {"telemetryEnabled": False, "lastVersionCheck": time.time()}
    (notes / "metadata.json").write_text(json.dumps(note), encoding="utf-8")
    return (
        environment
        | no_proxy_for_loopback()
        | {
            # `sam build` looks for an interpreter of the runtime's version with pip: this environment has both.
            "PATH": os.pathsep.join([str(binaries), environment.get("PATH", os.defpath)]),
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "SAM_CLI_TELEMETRY": "0",
            "__SAM_CLI_APP_DIR": str(notes),
            "NO_COLOR": "1",
            "PYTHONWARNINGS": "ignore",
        }
    )


def _essence(path: Path, lines: int = 30) -> str:
    """Return what failed and the error that SAM ends with, or its last lines where it does not say."""
    said = _ESCAPES.sub("", path.read_text(encoding="utf-8", errors="replace")).splitlines()
    said = [line.rstrip() for line in said if line.strip()]
    error_at = next((number for number, line in enumerate(said) if line.startswith("Error:")), len(said))
    failures = [line for line in said[:error_at] if "_FAILED" in line]
    return "\n".join([*failures, *said[error_at:]] or said[-lines:])
