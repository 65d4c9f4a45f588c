"""The local stack: the emulator, and the real template built and deployed into it.

`LocalCloud` owns the processes; any number of stacks can be deployed into one. What ends with it ends for sure:
see `processes.py`. `local_stack()` is the short way to one cloud with one stack.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock, local
from types import TracebackType
from typing import Any, Self

from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.aws.secrets import set_api_key
from imagescribe_ops.aws.stack import DEFAULT_STACK, StackOutputs, read_outputs
from imagescribe_ops.deployment.build import architecture, build
from imagescribe_ops.errors import OperationError
from imagescribe_ops.gateway.settings import GatewaySettings
from imagescribe_ops.local import deploy
from imagescribe_ops.local.before import bucket_with
from imagescribe_ops.local.describer import Describer, Report
from imagescribe_ops.local.emulator import Credentials, Emulator
from imagescribe_ops.local.pictures import Picture
from imagescribe_ops.local.processes import shielded
from imagescribe_ops.project import TEMPLATE
from imagescribe_ops.simulator import SimulatorClient
from imagescribe_ops.template import parameter_names


def _say_nothing(_step: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class LocalStack:
    """A stack that is deployed into a local cloud.

    Attributes
    ----------
    name
        The stack's name.
    outputs
        Where its parts are.
    all_outputs
        The same by the template's own names, and whatever else the template puts out.
    cloud
        Where it runs.
    """

    name: str
    outputs: StackOutputs
    all_outputs: Mapping[str, str]
    cloud: LocalCloud

    @property
    def connection(self) -> Connection:
        """Clients of the emulator's services, as root."""
        return self.cloud.connection

    @property
    def simulator(self) -> SimulatorClient:
        """The describe endpoint's simulator."""
        return self.cloud.simulator


class LocalCloud:
    """The emulator, and who describes; use it as a context manager.

    Raises
    ------
    OperationError
        The model can't be worked with, or something did not start.

    Parameters
    ----------
    describe_url
        Another describe endpoint in place of the simulator, which is then not started.
    model
        A model behind a gateway, in place of the simulator.
    port
        The emulator's, or 0 for any free one.
    latency_s
        How long the simulator takes for a description. Everything else is set on `simulator` while it runs.
    authority
        A PEM file of an authority for certificates that deployed functions trust besides the public ones.
    report
        Called with each step in a few words, as it begins.
    """

    def __init__(
        self,
        *,
        describe_url: str | None = None,
        model: GatewaySettings | None = None,
        port: int = 0,
        latency_s: float = 0.5,
        authority: Path | None = None,
        report: Report = _say_nothing,
    ) -> None:
        self.authority = authority
        self.emulator = Emulator(port)
        self.describer = Describer(describe_url, model, latency_s)
        self._report = report
        self._artifact_bucket = ""
        self._directory: Path | None = None
        self._built: dict[str, Path] = {}
        self._deployed: dict[Path, str] = {}  # a built template, and what `sam deploy` made of it
        self._stacks: set[str] = set()
        self._deploying = Lock()
        self._of_thread = local()
        self._exits = ExitStack()

    @property
    def endpoint_url(self) -> str:
        """Where the emulator's services are."""
        return self.emulator.endpoint_url

    @property
    def region(self) -> str:
        """The only region that is used."""
        return self.emulator.region

    @property
    def credentials(self) -> Credentials:
        """The emulator's root credentials."""
        return self.emulator.credentials

    @property
    def connection(self) -> Connection:
        """Clients of the emulator's services, as root; each thread has its own, as boto3 asks for."""
        known: Connection | None = getattr(self._of_thread, "connection", None)
        if known is None:
            known = self._of_thread.connection = Connection(
                region=self.region,
                endpoint_url=self.endpoint_url,
                access_key_id=self.credentials.access_key_id,
                secret_access_key=self.credentials.secret_access_key,
            )
        return known

    @property
    def simulator(self) -> SimulatorClient:
        """The simulator."""
        return self.describer.simulator

    @property
    def describe_url(self) -> str:
        """The endpoint that deployed functions call."""
        return self.describer.url

    @property
    def api_key(self) -> str:
        """The key that simulator and gateway take."""
        return self.describer.api_key

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self._start(undo)
            self._exits = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with shielded():
            self._exits.close()

    def _start(self, undo: ExitStack) -> None:
        self._report("Starting the AWS emulator")
        undo.enter_context(self.emulator)
        self._directory = self.emulator.directory / "run"
        self._directory.mkdir()
        undo.enter_context(self.describer.running(self.endpoint_url, self._report))
        self._artifact_bucket = f"imagescribe-artifacts-{secrets.token_hex(6)}"
        self.connection.s3().create_bucket(Bucket=self._artifact_bucket)

    def deploy(
        self,
        stack: str = DEFAULT_STACK,
        *,
        parameters: Mapping[str, str] | None = None,
        template: Path = TEMPLATE,
    ) -> LocalStack:
        """Build the template (once for each text of it), deploy it, and put the simulator's key into its secret.

        Of several threads, one deploys after the other.

        Parameters
        ----------
        stack
            Its name; a name that is there already is updated.
        parameters
            Template parameters in place of the local ones (such as `DescribeUrl`) and of the template's defaults.
        template
            Another template; source directories in it are relative to the project.

        Raises
        ------
        OperationError
            A parameter that the template does not have; the build or the deployment failed.
        """
        if self._directory is None:
            raise ValueError("the cloud has not been started")
        known = parameter_names(template)
        # The emulator speaks plain HTTP, which the stack's own policies refuse otherwise; and nothing is paid here.
        local = {"RequireTls": "false", "DailyBudgetUsd": "0", "Architecture": architecture()}
        local |= self.describer.parameters
        values = {name: value for name, value in local.items() if name in known} | dict(parameters or {})
        if unknown := sorted(set(values) - set(known)):
            raise OperationError(
                f"The template has no parameter {', '.join(unknown)}.", f"It has {', '.join(known) or 'none'}."
            )
        try:
            with self._deploying:
                self._deploy(self._build(template, self._directory), stack, values, self._directory)
        except OperationError as error:
            if self.emulator.is_running():
                raise
            raise OperationError(
                f"The AWS emulator ended:\n{self.emulator.log_tail()}\n{error.problem}", "See its log above."
            ) from error
        all_outputs = read_outputs(self.connection, stack)
        outputs = StackOutputs.of_outputs(all_outputs, stack)
        deploy.restate_concurrency(self.connection, outputs.describe_function_name)
        if self.describer.is_ours:
            set_api_key(self.connection, outputs.api_key_secret_arn, self.api_key)
        return LocalStack(name=stack, outputs=outputs, all_outputs=all_outputs, cloud=self)

    def _build(self, template: Path, directory: Path) -> Path:
        digest = sha256(template.read_bytes()).hexdigest()[:16]
        if digest not in self._built:
            self._report("Building the functions (sam build)")
            place = directory / digest
            place.mkdir(exist_ok=True)
            self._built[digest] = build(place, template, self.authority)
        return self._built[digest]

    def _deploy(self, built: Path, stack: str, parameters: Mapping[str, str], directory: Path) -> None:
        deployed = self._deployed.get(built)
        if deployed and stack not in self._stacks:
            self._report(f"Deploying the stack {stack}")
            deploy.deploy_again(
                self.connection, deployed, stack=stack, parameters=parameters, artifact_bucket=self._artifact_bucket
            )
        else:
            self._report(f"Deploying the stack {stack} (sam deploy)")
            target = deploy.Target(self.endpoint_url, self.region, self.credentials, self._artifact_bucket)
            deploy.deploy(built, stack=stack, parameters=parameters, target=target, directory=directory)
            body: Any = self.connection.cloudformation().get_template(StackName=stack)["TemplateBody"]
            self._deployed[built] = body if isinstance(body, str) else json.dumps(body)
        self._stacks.add(stack)


@contextmanager
def local_stack(
    stack: str = DEFAULT_STACK,
    *,
    parameters: Mapping[str, str] | None = None,
    template: Path = TEMPLATE,
    describe_url: str | None = None,
    model: GatewaySettings | None = None,
    port: int = 0,
    latency_s: float = 0.5,
    before: Sequence[Picture] = (),
    report: Report = _say_nothing,
) -> Iterator[LocalStack]:
    """Start a cloud with one stack in it; see `LocalCloud` and its `deploy`. Everything is gone when the block ends.

    Parameters
    ----------
    before
        What is in the stack's bucket before the stack is there.
    """
    with LocalCloud(describe_url=describe_url, model=model, port=port, latency_s=latency_s, report=report) as cloud:
        if before:
            report(f"Putting {len(before)} pictures into a bucket")
            parameters = {**(parameters or {}), "ExistingBucketName": bucket_with(cloud.connection.s3(), before)}
        yield cloud.deploy(stack, parameters=parameters, template=template)
