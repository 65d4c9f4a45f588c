"""The describe endpoint, and what it costs: the key, the balance, the budget and the breaker."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from imagescribe.throttle.breaker import OpenedBy
from imagescribe_ops.account import NoAnswerError
from imagescribe_ops.aws.queue_depth import QueueDepth
from imagescribe_ops.doctor.examination import DEPLOY, Examination
from imagescribe_ops.doctor.findings import NotCheckedError, Verdict, broken, warning, well
from imagescribe_ops.doctor.permissions import missing_permission
from imagescribe_ops.errors import OperationError
from imagescribe_ops.standing import pause_sentence

FEW_CALLS: Final = 100
"""A balance that pays for fewer is noted."""
MOSTLY_SPENT: Final = 0.9
"""So much of the day's budget is noted."""


def api_key(examination: Examination) -> Verdict:
    """Whether the key is there and the endpoint takes it; the look-up is free."""
    host = urlsplit(examination.parameters.get("DescribeUrl", "")).netloc
    try:
        _ = examination.balance_usd
    except NoAnswerError as error:
        return warning(error.problem, error.advice)
    except OperationError as error:
        if missing_permission(error.__cause__):
            raise
        return broken(error.problem, f"{error.advice} It ends a pause of the account.")
    return well(f"{host} takes it")


def balance(examination: Examination) -> Verdict:
    """Whether the account pays for what waits."""
    price = examination.operations.price_usd
    try:
        left = examination.balance_usd
    except NoAnswerError as error:
        raise NotCheckedError("The endpoint did not say what is left.") from error
    if left is None:
        return well("the endpoint says nothing of it")
    if not price:
        return well("calls are free (PricePerCallUsd)")
    host = urlsplit(examination.parameters.get("DescribeUrl", "")).netloc
    calls = int(left / price)
    mend = f"Top it up at {host}'s, then `imagescribe resume`."
    if not calls:
        return broken(f"${left:,.2f} are left: not one call at ${price:g}.", mend)
    waiting = QueueDepth.read(examination.connection, examination.outputs.upload_queue_url).total
    if calls < max(waiting, FEW_CALLS):
        queued = f", and {waiting:,} messages wait" if waiting else ""
        return warning(f"${left:,.2f} are left: {calls:,} calls at ${price:g}{queued}.", mend)
    return well(f"${left:,.2f} are left: {calls:,} calls at ${price:g}")


def budget(examination: Examination) -> Verdict:
    """Whether today's budget is spent."""
    intake, price = examination.intake, examination.operations.price_usd
    if not intake.budget_usd:
        return well("there is none (DailyBudgetUsd is 0)")
    spent = f"${intake.spent_today_usd:g} of ${intake.budget_usd:g} are spent today"
    mend = f"Wait for midnight UTC, or set a larger DailyBudgetUsd and {DEPLOY}."
    if intake.paused_by == OpenedBy.BUDGET or intake.budget_usd - intake.spent_today_usd < price:
        return warning(f"{spent}: images wait until midnight UTC.", mend)
    if intake.spent_today_usd >= MOSTLY_SPENT * intake.budget_usd:
        return warning(f"{spent}.", mend)
    return well(spent)


def breaker(examination: Examination) -> Verdict:
    """Whether calls are paused, and by whom."""
    intake = examination.intake
    sentence = f"{pause_sentence(intake)}."
    match intake.paused_by:
        case OpenedBy.OPERATOR:
            return warning(sentence, "End it with `imagescribe resume`.")
        case OpenedBy.ACCOUNT:
            return broken(
                sentence,
                "Mend what it says (a key: `imagescribe key set`; the balance: top it up), then `imagescribe resume`.",
            )
        case OpenedBy.ENDPOINT:
            return broken(
                sentence, "It goes on by itself when the endpoint is well; if it is well already, `imagescribe resume`."
            )
        case _:
            pass
    if intake.failures:
        return warning(
            f"Calls go, but {intake.failures} in a row failed.",
            "Nothing to do yet: images are tried again. `imagescribe logs` shows why.",
        )
    return well(f"closed, at up to {intake.requests_per_minute:g} calls a minute")
