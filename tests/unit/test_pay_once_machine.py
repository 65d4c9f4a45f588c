"""Whatever happens, in whatever order, at whatever moment of an image's way: nothing is lost, and nothing paid twice.

Hypothesis drives the real describe function, among services in memory, through uploads, overwrites, deletions and
duplicates, and lets something happen at a named point of an image's way: the process is killed, a request fails, the
object is overwritten or deleted, or another invocation takes the next message right then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import md5
from random import Random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from imagescribe.model.events import Deletion, Upload
from tests.factories import make_picture
from tests.unit import stages
from tests.unit.fake_endpoint import Fault, prompt_of
from tests.unit.minutes import Minutes
from tests.unit.stage import CrashError, Stage, throttled

KEYS = ("cat.png", "dogs/dog one+two é.jpg")
PICTURES = tuple(make_picture(colour, (8, 8)) for colour in ("red", "green", "blue"))
NO_PICTURE = b"plain text"
CONTENTS = (*PICTURES, NO_PICTURE)
PRINTS = {md5(content, usedforsecurity=False).hexdigest(): content for content in CONTENTS}


@dataclass(frozen=True)
class Point:
    """A moment on the way of an image: before or after a request of its, known by a parameter's name."""

    service: str
    request: str
    is_after: bool = False
    table: str = ""
    operand: str = ""
    is_answer_unsaved: bool = False
    """Whether a crash here comes between an answer and its save."""

    def is_at(self, stage: Stage, parameters: Mapping[str, Any]) -> bool:
        table = {"": "", "ledger": stage.ledger_table, "catalog": stage.catalog_table}[self.table]
        operands = parameters.get("ExpressionAttributeValues", {})
        return (not table or parameters.get("TableName") == table) and (not self.operand or self.operand in operands)


POINTS = {
    "before the inspection": Point("s3", "get_object"),
    "after the inspection": Point("s3", "get_object", is_after=True),
    "before the record is opened": Point("dynamodb", "update_item", table="catalog", operand=":set_bucket"),
    "after the record is opened": Point("dynamodb", "update_item", True, table="catalog", operand=":set_bucket"),
    "before the claim": Point("dynamodb", "update_item", table="ledger", operand=":set_holder"),
    "after the claim": Point("dynamodb", "update_item", True, table="ledger", operand=":set_holder"),
    "before the call": Point("s3", "generate_presigned_url"),
    "before the endpoint looks": Point("endpoint", "before_look"),
    "after the endpoint looked": Point("endpoint", "after_look", is_answer_unsaved=True),
    "before the check of what was described": Point("s3", "head_object", is_answer_unsaved=True),
    "after the check of what was described": Point("s3", "head_object", True, is_answer_unsaved=True),
    "before the save": Point("dynamodb", "update_item", table="ledger", operand=":set_body", is_answer_unsaved=True),
    "after the save": Point("dynamodb", "update_item", True, table="ledger", operand=":set_body"),
    "before the claim is released": Point("dynamodb", "delete_item", table="ledger"),
    "before the tags": Point("s3", "get_object_tagging"),
    "after the tags": Point("s3", "put_object_tagging", is_after=True),
    "before the record ends": Point("dynamodb", "update_item", table="catalog", operand=":described"),
    "after the record ended": Point("dynamodb", "update_item", True, table="catalog", operand=":described"),
    "before the event": Point("bus", "put_events"),
    "after the event": Point("bus", "put_events", is_after=True),
    "before the message waits": Point("sqs", "change_message_visibility_batch"),
}

TAGS_ARE_BEING_WRITTEN = {"before the tags"}
"""S3 writes no tags on a condition: who overwrites an object right here may find its old prompt on it for a while."""


class PayOnce(RuleBasedStateMachine):
    """The bucket without versions."""

    versioned = False

    def __init__(self) -> None:
        super().__init__()
        self._exits = ExitStack()
        self.stage: Stage = self._exits.enter_context(stages.in_memory_stage(versioned=self.versioned))
        self.stage.cold_start(max_attempts=1_000)
        self.uploads: dict[tuple[str, str | None], Upload] = {}
        self.told: list[Upload | Deletion] = []
        self.untold: list[Upload | Deletion] = []
        self.excuses: list[str] = []
        self.unsaved: Counter[str] = Counter()

    def teardown(self) -> None:
        try:
            self.all_is_well_in_the_end()
        finally:
            self._exits.close()

    # ── What users and S3 do ─────────────────────────────────────────────────────────────────────────────────────────

    @rule(key=st.sampled_from(KEYS), content=st.sampled_from(CONTENTS), is_told=st.booleans())
    def upload(self, key: str, content: bytes, is_told: bool) -> None:
        upload = self.stage.store(key, content)
        self.uploads[upload.key, upload.version_id] = upload
        self._happened(upload, is_told)

    @rule(key=st.sampled_from(KEYS), is_told=st.booleans())
    def delete(self, key: str, is_told: bool) -> None:
        self._happened(self.stage.remove(_at(self.stage, key)), is_told)

    @precondition(lambda self: self.untold)
    @rule(choice=st.randoms(use_true_random=False))
    def tell(self, choice: Random) -> None:
        self._tell(self.untold.pop(choice.randrange(len(self.untold))))

    @precondition(lambda self: self.told)
    @rule(choice=st.randoms(use_true_random=False))
    def tell_again(self, choice: Random) -> None:
        self.stage.tell(choice.choice(self.told))

    @rule(seconds=st.sampled_from([1, 10, 130, 800]))
    def pass_time(self, seconds: float) -> None:
        self.stage.clock.sleep(seconds)

    # ── What Lambda does ─────────────────────────────────────────────────────────────────────────────────────────────

    @precondition(lambda self: self._visible())
    @rule(
        which=st.randoms(use_true_random=False),
        reply=st.sampled_from([None, None, None, None, 503, 429, 402, Fault.DROPPED, Fault.TIMED_OUT]),
    )
    def deliver(self, which: Random, reply: Fault | int | None) -> None:
        self._deliver(which, reply)

    @precondition(lambda self: self._visible())
    @rule(
        which=st.randoms(use_true_random=False),
        point=st.sampled_from(sorted(POINTS)),
        is_lasting=st.booleans(),
    )
    def deliver_and_fail(self, which: Random, point: str, is_lasting: bool) -> None:
        def fail() -> None:
            raise throttled()

        if POINTS[point].service == "endpoint":
            return
        self._when(point, fail, is_lasting=is_lasting)
        if is_lasting and POINTS[point].is_answer_unsaved:
            self.excuses.append("what has to be done with an answer failed until the invocation ended")
        self._deliver(which, None)

    @precondition(lambda self: self._visible())
    @rule(which=st.randoms(use_true_random=False), point=st.sampled_from(sorted(POINTS)))
    def deliver_and_crash(self, which: Random, point: str) -> None:
        stage = self.stage
        services = [stage.s3, stage.dynamodb, stage.sqs, stage.bus]

        def die() -> None:
            for service in services:
                service.is_gone = True
            if POINTS[point].is_answer_unsaved:
                self.excuses.append("the process was killed between an answer and its save")
            raise CrashError

        self._when(point, die)
        try:
            self._deliver(which, None)
        except CrashError:
            pass
        finally:
            for service in services:
                service.is_gone = False
            self._settle_the_bill()
        stage.cold_start(max_attempts=1_000)

    @precondition(lambda self: self._visible())
    @rule(
        which=st.randoms(use_true_random=False),
        point=st.sampled_from(sorted(POINTS)),
        key=st.sampled_from(KEYS),
        content=st.sampled_from(CONTENTS),
        is_told=st.booleans(),
    )
    def deliver_and_overwrite(self, which: Random, point: str, key: str, content: bytes, is_told: bool) -> None:
        self._when(point, lambda: self._meanwhile(lambda: self.upload(key, content, is_told)))
        self._deliver(which, None)

    @precondition(lambda self: self._visible())
    @rule(
        which=st.randoms(use_true_random=False),
        point=st.sampled_from(sorted(POINTS)),
        key=st.sampled_from(KEYS),
        is_told=st.booleans(),
    )
    def deliver_and_delete(self, which: Random, point: str, key: str, is_told: bool) -> None:
        self._when(point, lambda: self._meanwhile(lambda: self.delete(key, is_told)))
        self._deliver(which, None)

    @precondition(lambda self: self._visible() > 1)
    @rule(
        which=st.randoms(use_true_random=False),
        point=st.sampled_from(sorted(POINTS)),
        times=st.sampled_from([1, 3]),
    )
    def deliver_two_at_once(self, which: Random, point: str, times: int) -> None:
        def others() -> None:
            for _ in range(times):
                self.stage.invoke(1)

        self._when(point, others)
        self._deliver(which, None)

    @precondition(lambda self: self._visible() > 1)
    @rule(
        which=st.randoms(use_true_random=False),
        point=st.sampled_from(sorted(POINTS)),
        key=st.sampled_from(KEYS),
        content=st.sampled_from((None, *CONTENTS)),
    )
    def deliver_while_the_next_is_already_done(
        self, which: Random, point: str, key: str, content: bytes | None
    ) -> None:
        def overwrite_and_have_it_done() -> None:
            self._meanwhile(lambda: self.delete(key, True) if content is None else self.upload(key, content, True))
            queue = self.stage.sqs.client.queue(self.stage.upload_queue_url)
            queue.insert(0, queue.pop())
            self.stage.invoke(1)

        self._when(point, overwrite_and_have_it_done)
        self._deliver(which, None)

    # ── What must hold at any time ───────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def a_content_is_paid_twice_only_for_a_reason(self) -> None:
        for content, paid in self.stage.endpoint.paid.items():
            assert paid <= 1 + self.unsaved[content]

    @invariant()
    def no_record_has_a_prompt_that_is_not_of_its_content(self) -> None:
        for record in self.stage.dynamodb.client.tables.get(self.stage.catalog_table, {}).values():
            if record["status"] == "described":
                assert record["prompt"] == prompt_of(PRINTS[record["etag"]])
            else:
                assert record.get("prompt") is None

    def all_is_well_in_the_end(self) -> None:
        stage = self.stage
        for event in self.untold[:]:
            self._tell(event)
        stage.endpoint.always_says(None)
        stage.clock.sleep(1_000)
        stage.settle(most=1)
        for _ in range(5):
            stage.store("canary.png", PICTURES[0])  # other traffic goes on
            self._recover()
            stage.settle(most=1)
        self._settle_the_bill()
        self.a_content_is_paid_twice_only_for_a_reason()
        assert stage.take_dead_letters() == []
        for key in KEYS:
            self._is_as_it_should_be(key)

    def _is_as_it_should_be(self, key: str) -> None:
        stage = self.stage
        stack = stage.s3.client.stacks.get((stage.bucket, key), [])
        record = stage.record(_at(stage, key))
        if not stack or stack[-1].content is None:
            assert record is None, "a record for what is gone"
            return
        current = stack[-1]
        assert record is not None, "no record for what is there"
        assert (record["etag"], record["version_id"]) == (current.etag, current.version_id)
        if current.content == NO_PICTURE:
            assert record["status"] == "skipped"
            return
        assert record["status"] == "described"
        assert record["prompt"] == prompt_of(current.content)
        assert current.tags == [{"Key": "prompt", "Value": prompt_of(current.content)}]
        described = [prompt for image, prompt in stage.announced() if image == _at(stage, key).image]
        assert prompt_of(current.content) in described
        for old in stack[:-1]:
            for tag in old.tags:
                assert tag["Value"] == prompt_of(old.content or b"")

    # ── How ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _visible(self) -> int:
        now = self.stage.clock.now
        return sum(each.visible_at <= now for each in self.stage.sqs.client.queue(self.stage.upload_queue_url))

    def _deliver(self, which: Random, reply: Fault | int | None) -> None:
        """Deliver one of the messages that are visible."""
        stage = self.stage
        queue = stage.sqs.client.queue(stage.upload_queue_url)
        visible = [message for message in queue if message.visible_at <= stage.clock.now]
        chosen = which.choice(visible)
        queue.remove(chosen)
        queue.insert(0, chosen)
        stage.endpoint.always_says(None)
        if reply is not None:
            stage.endpoint.says(reply)
        if reply is Fault.TIMED_OUT:
            self.excuses.append("an answer came too late to be seen")
        stage.invoke(1)
        self._settle_the_bill()

    def _settle_the_bill(self) -> None:
        """Count what was paid and is not in the ledger; there must be an excuse for it."""
        stage = self.stage
        for content, paid in stage.endpoint.paid.items():
            item = stage.dynamodb.client.tables[stage.ledger_table].get(f"{content}-{len(PRINTS[content])}", {})
            lost = paid - self.unsaved[content] - ("body" in item)
            if lost > 0:
                assert self.excuses, "paid for and not saved"
                self.unsaved[content] += lost
        self.excuses.clear()
        stage.endpoint.before_look = stage.endpoint.after_look = lambda: None
        for service in (stage.s3, stage.dynamodb, stage.sqs, stage.bus):
            service.before.clear()
            service.after.clear()

    def _when(self, point: str, act: Callable[[], None], *, is_lasting: bool = False) -> None:
        """Let something happen when an image's way comes to a point: the first time, or each time."""
        stage, at = self.stage, POINTS[point]
        times = iter([act])

        def happen(parameters: Mapping[str, Any]) -> None:
            if at.is_at(stage, parameters) and (now := act if is_lasting else next(times, None)) is not None:
                now()

        if at.service == "endpoint":
            setattr(stage.endpoint, at.request, lambda: happen({}))
            return
        service = getattr(stage, at.service)
        (service.after if at.is_after else service.before)[at.request] = happen

    def _meanwhile(self, act: Callable[[], None]) -> None:
        """Change the bucket while a call may be under way."""
        if not self.versioned:
            self.excuses.append("nobody knows which picture was described")
        act()

    def _happened(self, event: Upload | Deletion, is_told: bool) -> None:
        if is_told:
            self._tell(event)
        else:
            self.untold.append(event)

    def _tell(self, event: Upload | Deletion) -> None:
        if event in self.untold:
            self.untold.remove(event)
        self.told.append(event)
        self.stage.tell(event)

    def _recover(self) -> None:
        Minutes(self.stage).recovery().run()


class PayOnceWithVersions(PayOnce):
    """The bucket that keeps versions; versions and delete markers are deleted too."""

    versioned = True

    @rule(key=st.sampled_from(KEYS), which=st.randoms(use_true_random=False), is_told=st.booleans())
    def delete_a_version(self, key: str, which: Random, is_told: bool) -> None:
        stack = self.stage.s3.client.stacks.get((self.stage.bucket, key), [])
        if stack:
            version = which.choice(stack[-2:]).version_id
            self._happened(self.stage.remove(_at(self.stage, key), version_id=version), is_told)


def _at(stage: Stage, key: str) -> Upload:
    return Upload(stage.bucket, key, None, "", 0, "", "")


# An example takes 20 ms, and there are many ways to go wrong.
_default = settings.default or settings()
MANY = settings(stateful_step_count=30, max_examples=max(100, _default.max_examples))

TestPayOnce = PayOnce.TestCase
TestPayOnce.settings = MANY
TestPayOnceWithVersions = PayOnceWithVersions.TestCase
TestPayOnceWithVersions.settings = MANY
