"""MiniStack, the AWS emulator of the local stack: started on a loopback port with IAM enforced, and ended for sure."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shutil
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import Self

from imagescribe_ops.errors import OperationError
from imagescribe_ops.local.processes import Child, shielded
from imagescribe_ops.local.tools import Tool, tool_binaries

LOOPBACK = "127.0.0.1"
"""Never `localhost`: botocore would put bucket names before it (virtual hosts), which do not resolve."""

REGION = "us-east-1"
START_SECONDS = 60.0
START_TRIES = 3

# What a child may know of the user's environment: how to find programs, how text and time look, how the network is
# reached. Not HOME, and none of the user's AWS settings: the Lambda workers inherit what the emulator gets.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Root credentials of the emulator; worth nothing anywhere else."""

    access_key_id: str
    secret_access_key: str = field(repr=False)

    @classmethod
    def fresh(cls) -> Self:
        """Make random ones: no other program on the machine can talk to the emulator by chance."""
        return cls("AKIA" + secrets.token_hex(8).upper(), secrets.token_urlsafe(30))


def plain_environment() -> dict[str, str]:
    """Return an environment with nothing of AWS in it, and with loopback addresses past any proxy."""
    environment = {name: os.environ[name] for name in (*_PASSED_ON, *_PROXIES) if name in os.environ}
    return environment | no_proxy_for_loopback()


def no_proxy_for_loopback() -> dict[str, str]:
    """Return the two variables that keep programs from asking a proxy for 127.0.0.1, with the user's own entries."""
    own = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    entries = ",".join(filter(None, [own, LOOPBACK, "localhost"]))
    return {"NO_PROXY": entries, "no_proxy": entries}


class Emulator:
    """A running emulator; use it as a context manager.

    Parameters
    ----------
    port
        Its port on 127.0.0.1, or 0 for any free one.
    """

    region = REGION

    def __init__(self, port: int = 0) -> None:
        self.credentials = Credentials.fresh()
        self._wanted_port = port
        self._port = 0
        self._child: Child | None = None
        self._directory: Path | None = None

    @property
    def endpoint_url(self) -> str:
        """Where all of its services are."""
        return f"http://{LOOPBACK}:{self._port}"

    @property
    def directory(self) -> Path:
        """A directory that is removed when the emulator ends, even if this process is killed; others may use it."""
        if self._directory is None:
            raise ValueError("the emulator does not run")
        return self._directory

    @property
    def pid(self) -> int:
        """The id of its process group."""
        if self._child is None:
            raise ValueError("the emulator does not run")
        return self._child.pid

    def start(self) -> None:
        """Start it and return when it answers.

        Raises
        ------
        OperationError
            The port is taken, or it did not start; the end of its log is in the message.
        """
        program = tool_binaries(Tool.MINISTACK) / "ministack"
        for tries_left in reversed(range(START_TRIES)):
            try:
                # Whatever ends the start, a signal too, leaves no process behind.
                with ExitStack() as undo:
                    undo.callback(self.stop)
                    self._start_once(program)
                    undo.pop_all()
                    return
            except OperationError:
                # Another program may have taken the free port between our look and the emulator's.
                if self._wanted_port or not tries_left:
                    raise

    def _start_once(self, program: Path) -> None:
        self._port = self._wanted_port or _free_port()
        if self._wanted_port and _is_taken(self._wanted_port):
            raise OperationError(f"Port {self._wanted_port} is taken.", "Choose another with --port, or leave it out.")
        self._directory = Path(mkdtemp(prefix="imagescribe-emulator-"))
        with self.log_path.open("wb") as log:
            self._child = Child(
                [program],
                environment=self._environment(self._directory),
                output=log,
                directory=self._directory,
                remove=[self._directory],
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._child.status() is not None:
                raise OperationError(f"The AWS emulator ended while starting:\n{self.log_tail()}", "See its log above.")
            if time.monotonic() > deadline:
                raise OperationError(
                    f"The AWS emulator did not answer within {START_SECONDS:.0f} s:\n{self.log_tail()}",
                    "See its log above.",
                )
            time.sleep(0.05)

    def _environment(self, directory: Path) -> dict[str, str]:
        home = directory / "home"
        temporary = directory / "tmp"  # workers unpack the functions' zips here
        home.mkdir()
        temporary.mkdir()
        return plain_environment() | {
            "HOME": str(home),
            "TMPDIR": str(temporary),
            "GATEWAY_PORT": str(self._port),
            "BIND_HOST": LOOPBACK,
            "MINISTACK_HOST": LOOPBACK,  # in queue URLs
            "MINISTACK_REGION": REGION,
            "AUTH": "true",  # IAM policies are enforced, signatures checked
            "AWS_ACCESS_KEY_ID": self.credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.credentials.secret_access_key,
            "LOG_LEVEL": "INFO",
            "PYTHONUNBUFFERED": "1",
            # No second listener: SFTP and MQTT would take fixed ports on every interface.
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            # No Docker: it would look through the user's containers for ones to clean up.
            "LAMBDA_EXECUTOR": "local",
            "DOCKER_HOST": f"unix://{directory / 'no-docker.sock'}",
        }

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=5)
        try:
            connection.request("GET", "/_ministack/health")
            health = json.loads(connection.getresponse().read(1_000_000))
        except (OSError, http.client.HTTPException, ValueError):
            return False
        finally:
            connection.close()
        return isinstance(health, dict) and health.get("auth") == "enabled"

    @property
    def log_path(self) -> Path:
        """The file that it and the functions write to."""
        return self.directory / "emulator.log"

    def log_text(self) -> str:
        """Return everything it wrote so far; empty when it does not run."""
        if self._directory is None or not self.log_path.exists():
            return ""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines that it wrote."""
        return "\n".join(self.log_text().splitlines()[-lines:])

    def is_running(self) -> bool:
        """Tell whether it still runs."""
        return self._child is not None and self._child.status() is None

    def stop(self) -> None:
        """End it with its Lambda workers and remove its files; may be called again."""
        with shielded():
            if self._child is not None:
                self._child.stop()
                self._child = None
            if self._directory is not None:
                shutil.rmtree(self._directory, ignore_errors=True)
                self._directory = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
        return False
