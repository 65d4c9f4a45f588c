"""The command `imagescribe relabel`: changed labels and annotations, applied to what is described already."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from imagescribe.model.labels import Vocabulary
from imagescribe_ops.commands.base import BEFORE, PrefixOption, StackOptions, app, on_stack, utf8
from imagescribe_ops.commands.hints import pasteable
from imagescribe_ops.display import Steps, print_json, print_record, shown
from imagescribe_ops.errors import OperationError
from imagescribe_ops.relabel import Relabelling, Report, Result, read_vocabulary


@app.command(rich_help_panel=BEFORE)
@on_stack
def relabel(
    options: StackOptions,
    *,
    prefix: PrefixOption = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change; write nothing.")] = False,
    clear: Annotated[
        bool, typer.Option("--clear", help="Take all labels away, in place of those that the vocabulary gives.")
    ] = False,
) -> None:
    """Apply the stack's labels, as they are written now, to the prompts in the catalog, and write missing annotations.

    No call is made and nothing is announced. It can be stopped and run again at any time: what has its labels is left
    as it is, and so is an object that changed, and any tag that a person set: of tags of labels those are ours that say
    what the catalog recorded when they were written. A label that the vocabulary has no more goes, with its tags.
    Where the stack annotates (`WriteAnnotation`), what was described before it did gets its annotation.

    AWS takes about $0.13 a million images to read them, and $7 a million whose tags change. Where the vocabulary is a
    file (`LabelsKey`), the describe function reads it within five minutes; what is described until then has the old
    labels, and another run changes that.

    Examples: `imagescribe relabel --dry-run` · `imagescribe relabel --prefix holiday/`
    """
    operations = options.operations()
    vocabulary = Vocabulary() if clear else read_vocabulary(operations) or None
    if vocabulary is None and operations.parameters.get("WriteAnnotation") != "true":
        raise OperationError(
            "The stack has no labels, and writes no annotations.",
            "Deploy it with the parameter Labels, such as Labels='beach, boat=ship|yacht', or WriteAnnotation=true; to "
            "take labels away that are there add --clear.",
        )
    verb = "Looking at labels" if dry_run else "Applying labels"
    with Steps() as steps:
        steps.begin(verb)

        def progress(report: Report) -> None:
            changed = report.results[Result.CHANGED]
            steps.show(f"{verb}: {report.described:,} images looked at, {changed:,} with other labels")

        run = Relabelling(operations, vocabulary, is_dry=dry_run, progress=progress)
        is_complete = False
        try:
            run.run(operations.outputs.own_prefix(utf8(prefix, "--prefix")))
            is_complete = True
        except KeyboardInterrupt:
            steps.say(pasteable("Stopped. `imagescribe relabel` goes on: what is done stays.", str(options)))
        steps.end()
    if options.as_json:
        print_json(_as_json(run.report, is_dry=dry_run, is_complete=is_complete))
    else:
        _show(run.report, is_dry=dry_run)
    if not is_complete:
        raise typer.Exit(130)


def _as_json(report: Report, *, is_dry: bool, is_complete: bool) -> dict[str, object]:
    return {
        "complete": is_complete,
        "dry_run": is_dry,
        "described": report.described,
        "changed": report.results[Result.CHANGED],
        "unchanged": report.results[Result.UNCHANGED],
        "left_alone": report.results[Result.LEFT_ALONE],
        "labels": dict(sorted(report.labels.items())),
        "gained": dict(sorted(report.gained.items())),
        "lost": dict(sorted(report.lost.items())),
        "tags": dict(sorted(report.tags.items())),
        "annotations": dict(sorted(report.annotations.items())),
    }


def _show(report: Report, *, is_dry: bool) -> None:
    results, tags = report.results, report.tags
    changed = f"{results[Result.CHANGED]:,} of {report.described:,} images"
    left_alone = f"{results[Result.LEFT_ALONE]:,} that changed meanwhile, or are gone"
    full = f"{tags['full']:,} objects have no room for another tag"
    denied = f"{tags['denied']:,} objects whose tags may not be read or written with these credentials"
    rows: list[tuple[str, str | Text]] = [
        ("would change" if is_dry else "changed", shown(changed, "bold")),
        ("left alone", left_alone if results[Result.LEFT_ALONE] else ""),
        ("tags written", f"{tags['written']:,}" if tags["written"] else ""),
        ("tags kept", f"{tags['kept']:,} objects have a tag of these names that a person set" if tags["kept"] else ""),
        ("tags full", full if tags["full"] else ""),
        ("tags denied", shown(denied, "yellow") if tags["denied"] else ""),
        *((f"annotations {state}", f"{count:,}") for state, count in sorted(report.annotations.items())),
    ]
    for label in sorted(report.labels | report.lost):
        news = [f"{sign}{count[label]:,}" for sign, count in (("+", report.gained), ("-", report.lost)) if count[label]]
        images = "1 image" if report.labels[label] == 1 else f"{report.labels[label]:,} images"
        rows.append((label, f"{images} ({', '.join(news)})" if news else images))
    print_record(Console(highlight=False, soft_wrap=True), rows)
