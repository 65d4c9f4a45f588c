"""The command `imagescribe destroy`: the stack goes, what holds data stays, and what that is is said before."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer
from rich.console import Console

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
from imagescribe_ops.deployment.cloudformation import CloudFormation
from imagescribe_ops.deployment.parameters import defaults
from imagescribe_ops.deployment.removal import Removal, removal
from imagescribe_ops.deployment.standing import Standing, check_ours
from imagescribe_ops.display import Steps, print_json, safe, shown
from imagescribe_ops.errors import NotFoundError, OperationError
from imagescribe_ops.local.processes import Interrupted
from imagescribe_ops.project import TEMPLATE
from imagescribe_ops.template import parameter_definitions


@app.command(rich_help_panel=OPERATE)
def destroy(
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking for the stack's name.")] = False,
    stack: StackOption = DEFAULT_STACK,
    region: RegionOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take the stack away. Buckets, tables and queues stay, and how they are deleted by hand is said.

    Asks for the stack's name first. With `--json`, and nobody to ask, what would go and stay is printed, unless `--yes`
    deletes it.

    Examples: `imagescribe destroy` · `imagescribe destroy --stack trial --region eu-central-1`
    """
    options = StackOptions(stack, region, profile, False, as_json)
    with told(options) as steps:
        connection = options.connection()
        cloudformation = CloudFormation(connection, stack)
        standing = cloudformation.standing()
        if not standing.status:
            raise NotFoundError(
                f"There is no stack {stack!r} in {connection.region}.", "Name another with --stack and --region."
            )
        check_ours(standing, stack)
        if standing.is_protected:
            raise OperationError(
                f"The stack {stack} is protected from being deleted.",
                "If it is to go, take the protection away: `aws cloudformation update-termination-protection "
                f"--no-enable-termination-protection --stack-name {stack}`.",
            )
        plan = removal(connection, stack)
        if not as_json:
            _show(plan, standing, stack)
        agreed = yes if yes or as_json else _asks(stack)
        if agreed:
            _delete(cloudformation, stack, steps)
    if as_json:
        print_json(
            {
                "stack": stack,
                "deleted": agreed,
                "kept": [each.as_json() for each in plan.kept],
                "going": list(plan.going),
                "code": plan.code,
            }
        )
    elif not agreed:
        options.say("Nothing was deleted.")
    else:
        _tell(plan, standing, options)


def _show(plan: Removal, standing: Standing, stack: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print()
    console.print(shown(f"What goes with the stack {stack}", "bold"))
    console.print(shown(f"  {plan.summary() or 'nothing but its name'}"))
    if "ApiKeySecretArn" in standing.outputs:
        console.print(shown("  and with its secret the endpoint's API key"))
    console.print()
    if plan.kept:
        console.print(shown("What stays in the account", "bold"))
        for each in plan.kept:
            console.print(shown(f"  {each.line()}"))
        console.print()
    if plan.code:
        console.print(shown(f"The functions' code stays in {plan.code}."))
        console.print()
    existing = standing.parameters.get("ExistingBucketName")
    if existing:
        console.print(shown(f"The bucket {existing} stays as it is, with the tags on its objects."))
        console.print()


def _asks(stack: str) -> bool:
    if not sys.stdin.isatty():
        raise OperationError("Nothing was deleted: there is nobody to ask.", "Add --yes to delete it.")
    typed = typer.prompt(f"Type the stack's name ({safe(stack)}) to delete it", default="", show_default=False)
    return str(typed).strip() == stack


def _delete(cloudformation: CloudFormation, stack: str, steps: Steps) -> None:
    steps.begin(f"Deleting the stack {stack}")
    try:
        cloudformation.delete(lambda far: steps.show(f"Deleting the stack {stack}: {safe(far)}"))
    except Interrupted as interrupted:
        raise OperationError(
            "Stopped here; in AWS the deletion goes on.",
            f"`aws cloudformation describe-stacks --stack-name {stack}` finds nothing once it is done.",
        ) from interrupted
    steps.end()


def _tell(plan: Removal, standing: Standing, options: StackOptions) -> None:
    options.say(f"The stack {options.stack} is deleted.")
    if not plan.kept:
        return
    _tell_way_on(plan, standing, options)
    words = [*(["--region", options.region] if options.region else [])]
    words += ["--profile", options.profile] if options.profile else []
    own = f" {shlex.join(words)}" if words else ""
    console = Console(highlight=False, soft_wrap=True)
    console.print("\nWhat stayed goes by hand, for good and with all that is in it:\n")
    for command in filter(None, (each.deletion(own) for each in plan.kept)):
        console.print(shown(f"  {command}"))
    if plan.code:
        console.print(shown(f"  aws s3 rm --recursive {shlex.quote(plan.code)}{own}"))
    console.print()


def _tell_way_on(plan: Removal, standing: Standing, options: StackOptions) -> None:
    """Say how a new stack, which makes tables and a bucket of its own, goes on with these images."""
    ledger = next((each.physical_id for each in plan.kept if each.name == "LedgerTable"), "")
    bucket = standing.outputs.get("BucketName", "")
    if not ledger or not bucket:
        return
    known = defaults(parameter_definitions(TEMPLATE))
    given = {name: value for name, value in standing.parameters.items() if name in known and value != known[name]}
    given |= {"ExistingBucketName": bucket}
    parameters = shlex.join(word for pair in given.items() for word in ("--parameter", "=".join(pair)))
    run, own = program(), f" {options}" if str(options) else ""
    console = Console(highlight=False, soft_wrap=True)
    console.print("\nA new stack knows nothing of that. To go on with the images in one, and pay for none again:\n")
    for command in (f"deploy {parameters}", "key set", f"adopt {shlex.quote(ledger)}", "backfill"):
        console.print(shown(f"  {run} {command}{own}"))
