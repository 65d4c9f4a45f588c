"""The recover function, run each minute on the stage."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from botocore.exceptions import ClientError

from imagescribe.aws.eventbridge import Announcements
from imagescribe.aws.mappings import Mappings
from imagescribe.metrics import Metrics
from imagescribe.observer import Observer
from imagescribe.recovery import Recovered, Recovery
from imagescribe.stores.notebook import Notebook
from imagescribe.throttle.breaker import OpenedBy, opened
from imagescribe.throttle.item import ThrottleItem
from imagescribe.throttle.rate import fresh
from tests.factories import stand_in
from tests.unit.stage import Stage, aws_error


@dataclass
class FakeLambda:
    """Lambda with two event source mappings, which may be busy with a change for a while."""

    enabled: dict[str, bool] = field(default_factory=lambda: {"mapping-1": True, "mapping-2": True})
    busy: set[str] = field(default_factory=set)
    failing: dict[str, ClientError] = field(default_factory=dict)
    updates: int = 0

    def update_event_source_mapping(self, **request: Any) -> dict[str, Any]:
        mapping, enabled = request["UUID"], request["Enabled"]
        self.updates += 1
        if mapping in self.failing:
            raise self.failing[mapping]
        if mapping in self.busy:
            raise aws_error("ResourceInUseException", "UpdateEventSourceMapping")
        self.enabled[mapping] = enabled
        return {"State": "Enabling" if enabled else "Disabling"}


class Minutes:
    """The stage with the recover function, which is run each minute."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.lambda_ = FakeLambda()

    def run(self) -> Recovered:
        """One minute: what the queue delivers, unless the mappings are disabled, and then the recover function."""
        if all(self.lambda_.enabled.values()):
            self.stage.drain()
        recovered = self.recovery().run()
        self.stage.clock.sleep(60)
        return recovered

    def recovery(self) -> Recovery:
        stage = self.stage
        notebook = Notebook(stand_in(stage.dynamodb), stage.ledger_table)
        return Recovery(
            stage.new_throttle(),
            notebook,
            Mappings(stand_in(self.lambda_), list(self.lambda_.enabled)),
            stage.dead_letters(),
            stage.pipeline.catalog,
            Announcements(stand_in(stage.bus)),
            Observer(
                stand_in(stage.sqs),
                stage.pipeline.catalog,
                notebook,
                stage.pipeline.settings,
                "backfill",
                Metrics(),
                stage.clock,
            ),
            stage.clock,
        )

    def pause(self, seconds: float, by: OpenedBy = OpenedBy.ACCOUNT) -> None:
        """Let an answer of the endpoint have paused intake for so long."""
        stage = self.stage
        item = ThrottleItem(stand_in(stage.dynamodb), stage.ledger_table, lambda: fresh(stage.clock.now))
        state = item.read()
        breaker = opened(state.breaker, stage.clock.now, by, "402: no credits", seconds)
        item.replace(state, replace(state, breaker=breaker))
        stage.pipeline.throttle.state()


def bury(stage: Stage, body: str, reason: str) -> None:
    stage.sqs.client.send_message(
        QueueUrl=stage.dead_letter_queue_url,
        MessageBody=body,
        MessageAttributes={"reason": {"DataType": "String", "StringValue": reason}},
    )
