"""The endpoint fails: by chance, for long, or because of the account."""

from __future__ import annotations

import time

from imagescribe.throttle.breaker import OpenedBy
from imagescribe_ops.aws.secrets import set_api_key
from imagescribe_ops.local.stack import LocalCloud
from imagescribe_ops.operations import Operations
from imagescribe_ops.simulator import Fault
from imagescribe_ops.simulator.settings import PRICE_USD
from tests.bench.faults.figures import Figures
from tests.bench.faults.judge import judge
from tests.bench.faults.rig import BATCH, CONCURRENCY, Rig, rigged
from tests.bench.faults.scale import Scale

ANSWER_TIMEOUT_SECONDS = 5

# Half of what is dropped or hangs has been billed before.
EVERY_FAULT = {
    Fault.LIMITED: 0.1,
    Fault.INTERNAL_ERROR: 0.1,
    Fault.BAD_GATEWAY: 0.1,
    Fault.UNAVAILABLE: 0.1,
    Fault.GATEWAY_TIMEOUT: 0.1,
    Fault.DROP_BEFORE: 0.05,
    Fault.DROP_AFTER: 0.05,
    Fault.HANG_BEFORE: 0.05,
    Fault.HANG_AFTER: 0.05,
}

PAUSE_IS_LATE_SECONDS = 60.0
NEW_KEY = "the-key-after-the-change"


def every_fault(cloud: LocalCloud, scale: Scale) -> Figures:
    """Let seven calls of ten fail, each in one of seven ways."""
    parameters = {"AnswerTimeoutSeconds": str(ANSWER_TIMEOUT_SECONDS)}
    settings = {"faults": EVERY_FAULT, "seed": scale.seed, "hang_s": ANSWER_TIMEOUT_SECONDS + 2.0}
    with rigged(cloud, "every-fault", parameters, **settings) as rig:
        rig.put_all(scale.objects())
        rig.settle(1200)
        outcomes = rig.simulator.counts().outcomes
        notes = [", ".join(f"{count} × {outcome}" for outcome, count in outcomes.items())]
        fault = "10 % each of 429, 500, 502, 503, 504, dropped connections, time-outs"
        return judge(rig, fault, may_pay_twice=True, notes=notes)


def outage(cloud: LocalCloud, scale: Scale) -> Figures:
    """Take the endpoint down for longer than all attempts would last."""
    attempts, down_seconds = (3, 8) if scale.is_small else (5, 40)
    longest = sum(2**failures for failures in range(attempts - 1))
    with rigged(cloud, "outage", {"MaxAttempts": str(attempts)}, down=True) as rig:
        rig.put_all(scale.objects())
        time.sleep(down_seconds)
        failed = rig.simulator.counts().calls
        rig.simulator.configure(down=False)
        well = time.time()
        rig.settle(900)
        notes = [
            f"down {down_seconds} s, where {attempts} attempts last {longest} s at the most; {failed} calls failed, "
            f"all described {rig.finished - well:.0f} s after it was well"
        ]
        return judge(rig, "endpoint down for longer than all attempts would last, then well", notes=notes)


def wrong_key(cloud: LocalCloud, scale: Scale) -> Figures:
    """Change the account's key, then set it right as `imagescribe key set` does, which ends the pause too."""
    with rigged(cloud, "wrong-key") as rig:
        rig.simulator.configure(api_key=NEW_KEY)
        rig.put_all(scale.objects())
        broken, refused = _wait_for_pause(rig, 401, scale)
        set_api_key(rig.stack.connection, rig.outputs.api_key_secret_arn, NEW_KEY)
        if not Operations.of_stack(rig.stack.connection, rig.stack.name).resume_after_account_fault():
            broken.append("there was no pause for the account to end")
        set_right = time.time()
        rig.settle(600)
        notes = [f"{refused} calls refused, all described {rig.finished - set_right:.0f} s after it was set right"]
        return judge(
            rig, "key wrong, then right by `imagescribe key set`", notes=notes, broken=broken + _no_dead_letters(rig)
        )


def wrong_key_healing(cloud: LocalCloud, scale: Scale) -> Figures:
    """Change the account's key, then set it right and wait for the probe."""
    with rigged(cloud, "wrong-key-healing") as rig:
        rig.simulator.configure(api_key=NEW_KEY)
        rig.put_all(scale.objects())
        broken, refused = _wait_for_pause(rig, 401, scale)
        set_api_key(rig.stack.connection, rig.outputs.api_key_secret_arn, NEW_KEY)
        set_right = time.time()
        rig.settle(600)
        notes = [f"{refused} calls refused, all described {rig.finished - set_right:.0f} s after it was set right"]
        return judge(
            rig, "key wrong, then right: heals by its probe", notes=notes, broken=broken + _no_dead_letters(rig)
        )


def spent_credits(cloud: LocalCloud, scale: Scale) -> Figures:
    """Let the credits last for half of the images, then top them up and wait for the probe."""
    enough = scale.images // 2
    with rigged(cloud, "spent-credits", credits_usd=round(enough * PRICE_USD, 6)) as rig:
        rig.put_all(scale.objects())
        broken, refused = _wait_for_pause(rig, 406, scale)
        rig.simulator.configure(credits_usd=None)
        topped_up = time.time()
        rig.settle(600)
        notes = [
            f"{enough} described before, {refused} calls refused, "
            f"all described {rig.finished - topped_up:.0f} s after it was topped up"
        ]
        return judge(
            rig, "credits spent, then topped up: heals by its probe", notes=notes, broken=broken + _no_dead_letters(rig)
        )


def _wait_for_pause(rig: Rig, status: int, scale: Scale) -> tuple[list[str], int]:
    """Wait for the pause and a while in it; return what is wrong with it, and how many calls were refused."""
    # What runs side by side when the first refusal comes back cannot know of it.
    at_once = BATCH * CONCURRENCY
    broken = []
    if not rig.until(lambda: rig.opened_by() is OpenedBy.ACCOUNT, PAUSE_IS_LATE_SECONDS):
        broken.append(f"no pause for the account within {PAUSE_IS_LATE_SECONDS:.0f} s")
    time.sleep(2 if scale.is_small else 8)
    refused = sum(call.outcome == status for call in rig.simulator.journal())
    if refused > at_once:
        broken.append(f"{refused} calls were refused, more than the {at_once} of one batch side by side")
    return broken, refused


def _no_dead_letters(rig: Rig) -> list[str]:
    return [f"{rig.most_dead_letters} dead letters on the way"] if rig.most_dead_letters else []
