"""The commands of the endpoint's API key: store it, and ask whether it is taken."""

from __future__ import annotations

import getpass
import sys

import typer

from imagescribe_ops.account import balance_usd
from imagescribe_ops.aws.secrets import set_api_key
from imagescribe_ops.commands.base import OPERATE, StackOptions, app, on_stack
from imagescribe_ops.commands.operate import called_back_sentence
from imagescribe_ops.display import print_json
from imagescribe_ops.errors import OperationError

MAX_KEY_LENGTH = 4096

key_app = typer.Typer(no_args_is_help=True, help="The describe endpoint's API key: store it, check it.")
app.add_typer(key_app, name="key", rich_help_panel=OPERATE)


@key_app.command("set")
@on_stack
def key_set(
    options: StackOptions,
) -> None:
    """Store the endpoint's API key in the stack's secret. It is read from a hidden prompt, or from standard input.

    Never from the command line, where other users of the machine and the shell's history would see it. A pause for a
    fault of the account ends.

    Examples: `imagescribe key set` · `imagescribe key set < key.txt`
    """
    operations = options.operations()
    version = set_api_key(operations.connection, operations.outputs.api_key_secret_arn, _read_key())
    resumed = operations.resume_after_account_fault()
    called_back = operations.call_back() if resumed else 0
    if options.as_json:
        arn = operations.outputs.api_key_secret_arn
        print_json({"secret_arn": arn, "version_id": version, "resumed": resumed, "called_back": called_back})
        return
    options.say(f"The key is stored in {operations.outputs.api_key_secret_arn}.")
    if resumed:
        options.say(f"Intake was paused by a fault of the account, and is resumed. {called_back_sentence(called_back)}")


@key_app.command("check")
@on_stack
def key_check(options: StackOptions) -> None:
    """Ask the endpoint whether it takes the stored key, and what is left on the account. It costs nothing.

    Ends with 1 where the key is refused, missing, or the balance does not pay for one call.

    Example: `imagescribe key check`
    """
    operations = options.operations()
    left = balance_usd(operations)
    pays = left is None or left >= operations.price_usd
    if options.as_json:
        print_json({"accepted": True, "balance_usd": left, "pays": pays})
    elif left is None:
        options.say("The endpoint takes the key. It says nothing of a balance.")
    elif not operations.price_usd:
        options.say(f"The endpoint takes the key. ${left:,.2f} are left, and calls are free (PricePerCallUsd).")
    else:
        calls = f"{int(left / operations.price_usd):,} images at ${operations.price_usd:g}"
        options.say(f"The endpoint takes the key. ${left:,.2f} are left: {calls}.")
    if not pays:
        raise typer.Exit(1)


def _read_key() -> str:
    if sys.stdin.isatty():
        key = getpass.getpass("API key of the describe endpoint: ").strip()
    else:
        key = sys.stdin.read(MAX_KEY_LENGTH + 1).strip()
    if not key:
        raise OperationError("The key is empty, so nothing was stored.", "Pipe the key in, or type it at the prompt.")
    if len(key) > MAX_KEY_LENGTH or not key.isascii() or not key.isprintable() or " " in key:
        raise OperationError(
            "That does not look like a key, so nothing was stored.",
            "A key is one line of letters, digits and signs, without spaces.",
        )
    return key
