"""The command `imagescribe adopt`: what a stack that is gone has paid for is not paid for again."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from imagescribe_ops.backfill.adoption import Adopted
from imagescribe_ops.backfill.adoption import adopt as adopt_answers
from imagescribe_ops.commands.base import BEFORE, StackOptions, app, on_stack
from imagescribe_ops.display import Steps, print_json


@app.command(rich_help_panel=BEFORE)
@on_stack
def adopt(
    options: StackOptions, *, ledger: Annotated[str, typer.Argument(metavar="TABLE", help="The other stack's ledger.")]
) -> None:
    """Take over what another stack has paid for, so that a backfill of its bucket pays for none of it again.

    `imagescribe destroy` leaves the ledger's table, and names it. Its answers are copied; what this stack knows itself
    stays as it is. It can be stopped and run again. AWS takes about $1.30 a million answers.

    Example: `imagescribe adopt imagescribe-LedgerTable-1A2B3C`, then `imagescribe backfill`
    """
    connection, outputs = options.outputs()
    with Steps() as steps:
        steps.begin("Taking answers over")

        def progress(adopted: Adopted) -> None:
            steps.show(f"Taking answers over: {adopted.answers:,} read, {adopted.adopted:,} new here")

        adopted = adopt_answers(connection.dynamodb(), ledger, outputs.ledger_table_name, progress)
        steps.end()
    if options.as_json:
        print_json(asdict(adopted))
    else:
        options.say(
            f"{adopted.adopted:,} of {adopted.answers:,} answers are new here. `imagescribe backfill` gives the images "
            "of before their prompts by them."
        )
