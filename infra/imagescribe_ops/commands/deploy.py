"""The command `imagescribe deploy`: to a stack that runs, by a change set that was shown and agreed to."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.aws.stack import DEFAULT_STACK
from imagescribe_ops.commands.base import (
    OPERATE,
    JsonOption,
    ProfileOption,
    RegionOption,
    StackOption,
    StackOptions,
    app,
)
from imagescribe_ops.commands.hints import program
from imagescribe_ops.commands.telling import told
from imagescribe_ops.deployment.asking import ask
from imagescribe_ops.deployment.build import build
from imagescribe_ops.deployment.change_sets import ChangeSets, Proposal
from imagescribe_ops.deployment.changes import Changes
from imagescribe_ops.deployment.cloudformation import CloudFormation
from imagescribe_ops.deployment.existing_bucket import check_bucket
from imagescribe_ops.deployment.package import package
from imagescribe_ops.deployment.parameters import ParameterError, check_all, defaults, read_pairs
from imagescribe_ops.deployment.standing import Standing, check_deployable, check_ours
from imagescribe_ops.display import Steps, print_json, safe, shown
from imagescribe_ops.errors import OperationError
from imagescribe_ops.local.processes import Interrupted
from imagescribe_ops.project import TEMPLATE
from imagescribe_ops.template import parameter_definitions


@app.command(rich_help_panel=OPERATE)
def deploy(
    *,
    guided: Annotated[bool, typer.Option("--guided", help="Ask for the parameters that matter.")] = False,
    parameter: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A parameter of the template; may be given several times."),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A tag of all that is made; may be given several times."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Deploy without asking.")] = False,
    allow_loss: Annotated[
        bool, typer.Option("--allow-loss", help="With --yes: even where something that holds data is replaced.")
    ] = False,
    artifact_bucket: Annotated[
        str | None,
        typer.Option(metavar="BUCKET", help="A bucket of yours for the code; without, the one that the SAM CLI keeps."),
    ] = None,
    stack: StackOption = DEFAULT_STACK,
    region: RegionOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Deploy the stack to AWS, or bring one that runs to this version and these parameters.

    Builds the functions, shows what would change in plain words, and asks. A parameter that is not given keeps the
    value that the stack has, and so does a tag; a new stack takes the template's. With `--json`, and nobody to ask, the
    changes alone are printed, unless `--yes` carries them out.

    Examples: `imagescribe deploy --guided` · `imagescribe deploy --parameter DailyBudgetUsd=50` ·
    `imagescribe deploy --yes --region eu-central-1`
    """
    options = StackOptions(stack, region, profile, False, as_json)
    definitions = parameter_definitions(TEMPLATE)
    try:
        given = read_pairs(parameter or [], definitions)
    except ParameterError as error:
        raise typer.BadParameter(str(error), param_hint="--parameter") from None
    tags = _tags(tag or [])
    if guided and not sys.stdin.isatty():
        raise typer.BadParameter("needs a terminal; give each by --parameter instead", param_hint="--guided")
    with told(options) as steps, TemporaryDirectory(prefix="imagescribe-deploy-") as directory:
        connection = options.connection()
        cloudformation = CloudFormation(connection, stack)
        standing = cloudformation.standing()
        check_ours(standing, stack)
        check_deployable(standing, stack)
        if standing.is_left_over and not yes and (as_json or not sys.stdin.isatty()):
            raise OperationError(
                f"What a first deployment of {stack} has left that failed has to go before anything can be seen.",
                "Add --yes to clear it away and deploy.",
            )
        values = defaults(definitions)
        now = values | {name: value for name, value in standing.parameters.items() if name in values}
        if guided:
            given |= ask(definitions, now, given)
        wanted = now | given
        check_all(wanted, definitions)
        if bucket := wanted["ExistingBucketName"]:
            warning = check_bucket(connection, bucket)
            if warning:
                steps.say(Text.assemble(("Note: ", "bold yellow"), safe(warning)))
        steps.begin("Building the functions (sam build)")
        built = build(Path(directory), runs_on=wanted["Architecture"])
        steps.begin("Uploading them")
        url = package(built, connection, stack, artifact_bucket=artifact_bucket, directory=Path(directory))
        if standing.is_left_over:
            steps.begin("Clearing away what a first deployment that failed has left")
            cloudformation.delete(steps.show)
            standing = Standing()
        steps.begin("Asking CloudFormation what would change")
        change_sets = ChangeSets(connection, stack)
        proposal = change_sets.propose(url, standing, given, values, tags)
        steps.end()
        if proposal and not as_json:
            _show(proposal, stack, connection)
        agreed = _agreed(proposal, change_sets, stack, yes=yes, allow_loss=allow_loss, as_json=as_json)
        if proposal and agreed:
            _carry_out(cloudformation, proposal, stack, steps)
        after = cloudformation.standing() if agreed or not proposal else standing
    _tell(options, proposal, after, deployed=bool(proposal and agreed))


def _tags(pairs: list[str]) -> dict[str, str]:
    tags = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise typer.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--tag")
        tags[name] = value
    return tags


def _agreed(
    proposal: Proposal | None, change_sets: ChangeSets, stack: str, *, yes: bool, allow_loss: bool, as_json: bool
) -> bool:
    """Ask; where nobody agrees, the change set is taken away again."""
    if proposal is None:
        return False
    agreed = False
    try:
        agreed = _asks(proposal, stack, yes=yes, allow_loss=allow_loss, as_json=as_json)
    finally:
        if not agreed:
            change_sets.discard(proposal)
    return agreed


def _asks(proposal: Proposal, stack: str, *, yes: bool, allow_loss: bool, as_json: bool) -> bool:
    losses = proposal.changes.losses
    if yes and losses and not allow_loss:
        raise OperationError(
            "Nothing was deployed: --yes does not agree to the loss of "
            f"{', '.join(f'{loss.name} ({loss.kind})' for loss in losses)}.",
            "Take back what it comes of, or add --allow-loss.",
        )
    if yes or as_json:
        return yes
    if not sys.stdin.isatty():
        raise OperationError("Nothing was deployed: there is nobody to ask.", "Add --yes to deploy it.")
    if losses:
        return str(typer.prompt(f"Type the stack's name ({stack}) to go on", default="", show_default=False)) == stack
    return typer.confirm("Deploy this?", default=False)


def _carry_out(cloudformation: CloudFormation, proposal: Proposal, stack: str, steps: Steps) -> None:
    steps.begin(f"Deploying the stack {stack}")
    try:
        cloudformation.carry_out(proposal, lambda far: steps.show(f"Deploying the stack {stack}: {safe(far)}"))
    except Interrupted as interrupted:
        raise OperationError(
            "Stopped here; in AWS the deployment goes on.",
            f"`aws cloudformation describe-stack-events --stack-name {stack}` tells how far it is.",
        ) from interrupted
    steps.end()


def _show(proposal: Proposal, stack: str, connection: Connection) -> None:
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    what = "A new stack" if proposal.is_new else "What changes in the stack"
    console.print()
    console.print(shown(f"{what} {stack} ({connection.region}, account {proposal.account})", "bold"))
    console.print()
    show_changes(console, proposal.changes)
    console.print()


def show_changes(console: Console, changes: Changes) -> None:
    """Print what changes: parameters, resources, and what is lost, last and loud."""
    for name, (before, after) in changes.parameters.items():
        was = "" if before is None else f"{before or '(nothing)'} → "
        console.print(shown(f"  parameter   {name}: {was}{after or '(nothing)'}"))
    for action, what in changes.lines():
        console.print(shown(f"  {action:10}  {what}"))
    for loss in changes.losses:
        console.print()
        console.print(Text.assemble(("  LOSS  ", "bold white on red"), " ", (safe(loss.warning()), "bold red")))


def _tell(options: StackOptions, proposal: Proposal | None, standing: Standing, *, deployed: bool) -> None:
    if options.as_json:
        changes = proposal.changes if proposal else Changes([])
        print_json(
            {
                "stack": options.stack,
                "deployed": deployed,
                "changes": changes.as_json(),
                "outputs": dict(standing.outputs),
            }
        )
        return
    if proposal and not deployed:
        options.say("Nothing was deployed.")
        return
    if proposal is None:
        options.say(f"The stack {options.stack} is up to date: nothing would change.")
    changed = proposal.changes.parameters if proposal else {}
    _next_steps(options, standing, is_new=bool(proposal and proposal.is_new), mails="AlarmEmail" in changed)


def _next_steps(options: StackOptions, standing: Standing, *, is_new: bool, mails: bool) -> None:
    run, own = program(), f" {options}" if str(options) else ""
    bucket = standing.outputs.get("BucketName", "")
    existing = standing.parameters.get("ExistingBucketName")
    email = standing.parameters.get("AlarmEmail") if mails else ""
    prefix = standing.parameters.get("KeyPrefix", "")
    under = f" --prefix {shlex.quote(prefix)}" if prefix else ""
    lines = [
        ("the describe endpoint's API key, read from a prompt", f"key set{own}") if is_new else None,
        ("whether every link of the chain holds", f"doctor{own}") if is_new else None,
        ("describe an image, and see its prompt", f"upload{own} --wait{under} FILE"),
        ("the same later", f"get{own} {shlex.quote(f's3://{bucket}/{prefix}FILE')}"),
        ("what was in the bucket before", f"backfill{own}") if existing else None,
        ("how it goes", f"status{own}"),
    ]
    console = Console(highlight=False, soft_wrap=True)
    console.print("\nWhat to do next:\n")
    for line in filter(None, lines):
        console.print(shown(f"  # {line[0]}", "dim"))
        console.print(shown(f"  {run} {line[1]}"))
    if email:
        console.print()
        console.print(shown(f"AWS has sent a mail to {email}: alarms come once it is confirmed."))
    console.print()
