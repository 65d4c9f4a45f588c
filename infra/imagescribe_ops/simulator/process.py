"""The simulator in a process of its own, for those whose tests or benchmarks must not share an interpreter with it."""

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from imagescribe_ops.simulator.client import SimulatorClient
from imagescribe_ops.simulator.settings import SimulatorSettings, to_json

_STOP_S = 5.0


class RunningSimulator:
    """A simulator process; it ends by `stop`, by leaving the context, or with this process, however that ends."""

    def __init__(self, process: subprocess.Popen[str], url: str, describe_url: str) -> None:
        self._process = process
        self.url = url
        self.describe_url = describe_url
        self.client = SimulatorClient(url)

    @property
    def pid(self) -> int:
        """The process' id."""
        return self._process.pid

    def stop(self) -> None:
        """End the process and wait for it; a second time does nothing."""
        self.client.close()
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_simulator(settings: SimulatorSettings, port: int = 0, certificate: Path | None = None) -> RunningSimulator:
    """Start ``python -m imagescribe_ops.simulator`` and wait until it listens.

    Settings go in by standard input, so that the key is in no list of processes; and standard input stays open for
    as long as this process lives, which is how the simulator knows when to end.

    Raises
    ------
    RuntimeError
        It did not start, for example since the port is taken; standard error says why.
    """
    command = [sys.executable, "-m", "imagescribe_ops.simulator", "--settings-from-stdin", "--exit-with-stdin"]
    if certificate:
        command += ["--certificate", str(certificate)]
    # A session of its own keeps a Ctrl-C meant for us from ending it before us.
    process = subprocess.Popen(
        [*command, "--port", str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("no pipes to the simulator")
    try:
        process.stdin.write(json.dumps(to_json(settings)) + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        pass  # It ended already; the missing line below says so.
    line = process.stdout.readline()
    if not line:
        process.stdin.close()
        process.stdout.close()
        raise RuntimeError(f"the simulator did not start: exit status {process.wait(_STOP_S)}")
    where = json.loads(line)
    return RunningSimulator(process, url=where["url"], describe_url=where["describe_url"])
