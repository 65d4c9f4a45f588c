"""The command `imagescribe audit`: is anything missing."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from imagescribe_ops.audit.audit import TAGS_SAMPLED, Audit, TagCheck
from imagescribe_ops.audit.report import AuditReport
from imagescribe_ops.audit.verdicts import WRONG
from imagescribe_ops.commands.base import BEFORE, StackOptions, app, on_stack, utf8
from imagescribe_ops.display import Steps, print_json, print_record, safe, shown


@app.command(rich_help_panel=BEFORE)
@on_stack
def audit(
    options: StackOptions,
    *,
    prefix: Annotated[str, typer.Option(help="Only keys that begin with this.")] = "",
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Send what is missing, stale, orphaned or stuck on its way, and write tags."),
    ] = False,
    tags: Annotated[
        TagCheck, typer.Option("--tags", help=f"Look at the objects' tags too: all, or a sample of {TAGS_SAMPLED:,}.")
    ] = TagCheck.NONE,
    limit: Annotated[int, typer.Option(min=0, help="List at most so many of each kind; 0 lists all.")] = 20,
) -> None:
    """Compare the bucket with the catalog, and say what is missing, stale, orphaned, stuck or dead.

    Ends with 1 where something is wrong. Where standard output is no terminal, each finding is a line of its kind, the
    image and what is known of it, separated by tabs. It lists the bucket and reads the catalog, for about $0.07 a
    million objects, and $0.50 a million whose tags are looked at.

    Tags are compared with what the catalog says was written. Those of labels are wrong only where they are gone: one
    that says something else was set by a person. With `--repair` they are written again, without a call or an event.

    Examples: `imagescribe audit` · `imagescribe audit --repair` · `imagescribe audit --prefix 2026/ --tags sample`
    """
    prefix = utf8(prefix, "--prefix")
    operations = options.operations()
    with Steps() as steps:
        steps.begin("Comparing the bucket with the catalog")

        def progress(objects: int, records: int) -> None:
            steps.show(f"Comparing the bucket with the catalog: {objects:,} objects, {records:,} records")

        report = Audit(operations, repair, tags, progress).run(prefix, limit)
        steps.end()
    if options.as_json:
        print_json(_as_json(report))
    else:
        _show(report)
    if not report.is_clean:
        raise typer.Exit(1)


def _as_json(report: AuditReport) -> dict[str, object]:
    return {
        "ok": report.is_clean,
        "result": report.sentence,
        "prefix": report.prefix,
        "objects": report.objects,
        "records": report.records,
        "verdicts": {str(verdict): report.verdicts[verdict] for verdict in sorted(report.verdicts)},
        "statuses": dict(report.statuses),
        "failed": dict(report.failed),
        "skipped": dict(report.skipped),
        "tags_checked": report.tags_checked,
        "queue": report.messages,
        "unaccounted": report.unaccounted,
        "paused_by": report.paused,
        "repaired": {"sent": report.sent, "tags": report.tags_mended},
        "findings": [asdict(finding) for finding in report.findings],
        "more": report.more,
    }


def _show(report: AuditReport) -> None:
    is_terminal = sys.stdout.isatty()
    for finding in sorted(report.findings, key=lambda each: (WRONG.index(each.verdict), each.image)):
        line = "\t".join(safe(text) for text in (finding.verdict, finding.image, finding.detail))
        print(line.expandtabs(8) if is_terminal else line)
    console = Console(highlight=False, soft_wrap=True, stderr=not is_terminal)
    if report.more:
        console.print("There are more; --limit 0 lists all.")
    waiting = f"{report.messages:,} messages" + (f", paused by the {report.paused}" if report.paused else "")
    statuses = ", ".join(f"{count:,} {status}" for status, count in sorted(report.statuses.items()))
    tags_mended = "1 object" if report.tags_mended == 1 else f"{report.tags_mended:,} objects"
    repaired = [
        f"{report.sent:,} sent on their way" if report.sent else "",
        f"the tags of {tags_mended} written" if report.tags_mended else "",
    ]
    print_record(
        console,
        [
            ("result", shown(report.sentence, "bold green" if report.is_clean else "bold red")),
            ("objects", f"{report.objects:,}"),
            ("records", f"{report.records:,}" + (f" ({statuses})" if statuses else "")),
            *(("failed", f"{count:,}: {reason}") for reason, count in report.failed.most_common()),
            *(("skipped", f"{count:,}: {reason}") for reason, count in report.skipped.most_common()),
            ("tags looked at", f"{report.tags_checked:,}" if report.tags_checked else ""),
            ("queues", waiting if report.messages or report.paused else ""),
            ("repaired", ", ".join(filter(None, repaired))),
        ],
    )
