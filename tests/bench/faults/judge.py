"""The verdict on a row: what the bucket, the catalog and the ledger hold, and what the endpoint billed."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from imagescribe.model.answers import read_prompt
from imagescribe.model.tags import tag_value
from tests.bench.faults.figures import Explain, Figures, lost_answer, paid_twice
from tests.bench.faults.rig import UPLOADERS, Rig

TAG = "prompt"


def judge(
    rig: Rig,
    fault: str,
    *,
    explain: Explain = lost_answer,
    may_pay_twice: bool = False,
    may_leave_unpaid: bool = False,
    notes: Sequence[str] = (),
    broken: Sequence[str] = (),
) -> Figures:
    """Compare what is there with what should be.

    Parameters
    ----------
    explain
        Names why the answer of a paid call was lost.
    may_pay_twice
        Whether a call may be paid for again if `explain` names why.
    may_leave_unpaid
        Whether a content may be gone before it is described.
    """
    wrong = list(broken)
    records = rig.records()
    journal = rig.simulator.journal()
    with ThreadPoolExecutor(UPLOADERS) as pool:
        tags = dict(zip(rig.objects, pool.map(rig.tags, rig.objects), strict=True))
    described = [
        key
        for key, picture in rig.objects.items()
        if (record := records.get(key))
        and (record["status"], record["etag"], record["prompt"]) == ("described", picture.etag, picture.prompt)
        and tags[key].get(TAG) == tag_value(picture.prompt)
    ]
    if missing := sorted(rig.objects.keys() - set(described)):
        first = records.get(missing[0])
        said = f"{first['status']}: {first['error'] or first['prompt']}" if first else "no record"
        wrong.append(f"{len(missing)} not described, such as {missing[0]} ({said}, tags {tags[missing[0]]})")
    if left := sorted(records.keys() - rig.objects.keys()):
        wrong.append(f"{len(left)} records of what is gone, such as {left[0]} ({records[left[0]]['status']})")
    wrong += _false_prompts(rig)
    twice = paid_twice(journal, explain)
    if twice.unexplained:
        calls = [f"{call.object_path} at {call.started_at:.3f} ({call.outcome})" for call in twice.unexplained[:3]]
        wrong.append(f"{len(twice.unexplained)} paid twice for no reason known, such as {', '.join(calls)}")
    if twice.by_cause and not may_pay_twice:
        wrong.append(f"paid twice: {twice}")
    paid = sum(call.billed for call in journal)
    if paid < len(rig.uploaded) and not may_leave_unpaid:
        wrong.append(f"{paid} paid calls for {len(rig.uploaded)} contents")
    dead_letters = rig.dead_letters()
    if dead_letters:
        wrong.append(f"{dead_letters} dead letters stayed")
    if waiting := rig.waiting():
        wrong.append(f"{waiting} messages still wait")
    return Figures(
        fault=fault,
        images=len(rig.objects),
        described=len(described),
        distinct=len(rig.uploaded),
        paid=paid,
        paid_twice=twice,
        dead_letters=rig.most_dead_letters,
        dead_letters_left=dead_letters,
        seconds=rig.finished - rig.started,
        notes=tuple(notes),
        broken=tuple(wrong),
    )


def _false_prompts(rig: Rig) -> list[str]:
    """Name prompts that describe another picture than the one they are kept for, now or at any time before."""
    wrong = []
    for item in rig.ledger():
        etag = item["content"].rpartition("-")[0]
        if "body" in item and (prompt := read_prompt(item["body"])) != rig.uploaded[etag].prompt:
            wrong.append(f"the ledger has {prompt!r} for {rig.uploaded[etag].prompt!r}")
        elif "lease_until" in item and "body" not in item:
            wrong.append(f"the ledger still has a claim on {item['image']} until {item['lease_until']}")
    return wrong
