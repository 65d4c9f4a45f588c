"""Who describes for a local stack: the simulator, a model behind the gateway, or an endpoint that runs already."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from imagescribe_ops.contract.addresses import Reach
from imagescribe_ops.errors import OperationError
from imagescribe_ops.gateway.settings import GatewaySettings
from imagescribe_ops.gateway.start import first_call, listening
from imagescribe_ops.local.processes import shielded
from imagescribe_ops.simulator import RunningSimulator, SimulatorClient, SimulatorSettings, start_simulator

if TYPE_CHECKING:
    from imagescribe_ops.gateway.server import RunningGateway

MODEL_PARAMETERS: Final = {"AnswerTimeoutSeconds": "75", "PricePerCallUsd": "0"}
"""With a model of one's own: all the time that the template allows, and no price. For a hosted one's, set it."""

MODEL_TIMEOUT_S: Final = 70.0
"""Less than is waited for an answer, so that the gateway says why there is none."""

type Report = Callable[[str], None]
"""Is told each step in a few words, as it begins."""


class DescribeCall(Protocol):
    """A call that whoever describes here has answered."""

    @property
    def sha256(self) -> str | None:
        """Of the picture."""

    @property
    def billed(self) -> bool:
        """Whether it was described."""


class Describer:
    """The describe endpoint of a local cloud, there while `running`.

    Parameters
    ----------
    url
        Of an endpoint that runs already; then nothing is started.
    model
        A model behind a gateway, in place of the simulator. What the gateway fetches from is set here.
    latency_s
        How long the simulator takes for a description.
    """

    def __init__(self, url: str | None, model: GatewaySettings | None, latency_s: float) -> None:
        self.model = model
        self.api_key = model.api_key if model else f"local-{secrets.token_urlsafe(18)}"
        self._url = url
        self._latency_s = latency_s
        self._gateway: RunningGateway | None = None
        self._simulator: SimulatorClient | None = None

    @property
    def is_ours(self) -> bool:
        """Whether it is started here, and so takes `api_key`."""
        return self._url is None

    @property
    def url(self) -> str:
        """The endpoint that deployed functions call."""
        return self._url or (self._gateway or self.simulator).describe_url

    @property
    def parameters(self) -> Mapping[str, str]:
        """What a stack is told of it."""
        return {"DescribeUrl": self.url} | (MODEL_PARAMETERS if self.model else {})

    @property
    def simulator(self) -> SimulatorClient:
        """The simulator."""
        if self._simulator is None:
            raise ValueError("there is no simulator: the cloud was started with a describe_url or a model")
        return self._simulator

    def calls(self) -> Sequence[DescribeCall]:
        """Return the calls of the simulator or of the gateway so far."""
        return list(self._gateway.gateway.journal.copy()) if self._gateway else self.simulator.journal()

    @contextmanager
    def running(self, bucket_url: str, report: Report) -> Iterator[None]:
        """Start it, with the pictures under an address of this machine within reach; it ends with the block."""
        if self.model is not None:
            report(f"Asking {self.model.model} for a first description")
            bucket_alone = Reach(frozenset({urlsplit(bucket_url).netloc}), public=False)
            with listening(replace(self.model, reach=bucket_alone, timeout_s=MODEL_TIMEOUT_S)) as self._gateway:
                first_call(self._gateway)
                yield
        elif self._url is None:
            report("Starting the describe endpoint's simulator")
            with _simulator(SimulatorSettings(api_key=self.api_key, latency_s=self._latency_s)) as simulator:
                self._simulator = simulator.client
                yield
        else:
            yield


def _simulator(settings: SimulatorSettings) -> RunningSimulator:
    try:
        with shielded():  # half a second: interrupted in the middle of it, the simulator would complain
            return start_simulator(settings)
    except RuntimeError as error:
        raise OperationError(f"{error}.", "What it wrote is above.") from error
