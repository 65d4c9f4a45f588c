"""Decide what a describe call is answered: script, key, limit, form, credits, chance, and then the work itself.

The order is a gateway's: what costs least is asked first. One lock guards all state and is never held while waiting,
fetching or decoding.
"""

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock

from imagescribe_ops.contract import answers
from imagescribe_ops.contract.addresses import Reach
from imagescribe_ops.contract.answers import Answer
from imagescribe_ops.contract.fetch import Fetched, Fetcher, FetchError, Target, target_of
from imagescribe_ops.contract.picture import UndecodableError
from imagescribe_ops.contract.requests import DescribeRequest, is_key, read_form
from imagescribe_ops.simulator.answers import ENDLESS_BYTES, described, limit_headers
from imagescribe_ops.simulator.faults import BodyKind, Ending, Fault, Manner, ScriptedAnswer, draw
from imagescribe_ops.simulator.journal import DROPPED, HUNG, Counts, JournalEntry
from imagescribe_ops.simulator.limits import Verdict
from imagescribe_ops.simulator.picture import Describer
from imagescribe_ops.simulator.run import Run
from imagescribe_ops.simulator.settings import SimulatorSettings

# It fetches from this machine's own bucket; and from anywhere else as the endpoint would.
_REACH = Reach(frozenset({"127.0.0.1", "::1", "localhost"}))
_FAULT_ENDINGS = {
    Fault.DROP_BEFORE: Ending.DROP,
    Fault.DROP_AFTER: Ending.DROP,
    Fault.HANG_BEFORE: Ending.HANG,
    Fault.HANG_AFTER: Ending.HANG,
}
_BILLED_FAULTS = (Fault.DROP_AFTER, Fault.HANG_AFTER)


@dataclass(slots=True)
class Call:
    """One call on its way; the journal's entry is made of it at the end."""

    request: DescribeRequest
    run: Run
    settings: SimulatorSettings
    started_at: float
    image_url: str | None
    refusal: Answer | None
    target: Target
    manner: Manner = field(default_factory=Manner)
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    verdict: Verdict = field(default_factory=lambda: Verdict(allowed=True, remaining=None, reset_at=None))
    fetched: Fetched | None = None
    billed: bool = False
    working: bool = False
    entry: JournalEntry | None = None


class DescribeEndpoint:
    """The endpoint without its HTTP; safe for threads.

    Parameters
    ----------
    settings
        At the start, and after each reset.
    wait
        Sleeps for so many seconds, or until the simulator stops.
    """

    def __init__(self, settings: SimulatorSettings, wait: Callable[[float], object]) -> None:
        self._initial = settings
        self._wait = wait
        self._lock = Lock()
        self._describer = Describer()
        self._fetcher = Fetcher(_REACH, redirects=0, user_agent="imagescribe-simulator")
        self._run = Run(settings)

    # Control

    @property
    def settings(self) -> SimulatorSettings:
        """The settings of now."""
        return self._run.settings

    def change(self, changes: Mapping[str, object]) -> SimulatorSettings:
        """Set some settings from JSON; limit, balance and seed start afresh only where they are set."""
        with self._lock:
            self._run.change(changes)
            return self._run.settings

    def add_to_script(self, scripted: list[ScriptedAnswer]) -> None:
        """Put answers behind those of the script already there."""
        with self._lock:
            for answer in scripted:
                self._run.script.add(answer)

    def reset(self) -> None:
        """Go back to the first settings, with an empty journal and script. Calls still open leave no trace."""
        with self._lock:
            self._run = Run(self._initial)

    def counts(self) -> Counts:
        """Give the sums since the last reset."""
        with self._lock:
            return self._run.counts()

    def journal(self, since: int) -> list[JournalEntry]:
        """Give the calls that ended after the one with this id."""
        with self._lock:
            return self._run.journal.since(since)

    def close(self) -> None:
        """Let go of the connections to where the pictures are."""
        self._fetcher.close()

    # The account

    def balance(self, api_key: str | None) -> Answer:
        """Answer ``GET /v1/get-user-credits``."""
        if not is_key(api_key, self.settings.api_key):
            return answers.error(401, "key")
        return answers.balance(self._run.credits_usd)

    # One call

    def begin(self, request: DescribeRequest) -> Call:
        """Take a call in."""
        url, refusal = read_form(request)
        with self._lock:
            run = self._run
            run.journal.open()
            return Call(
                request=request,
                run=run,
                settings=run.settings,
                started_at=time.time(),
                image_url=url,
                refusal=refusal,
                target=target_of(url or ""),
            )

    def answer(self, call: Call) -> Answer:
        """Decide the answer, and take the time that it takes."""
        with self._lock:
            scripted = call.run.script.take(call.target.object_path)
        if scripted is not None:
            answer, latency_s = self._follow(scripted, call)
        else:
            answer, latency_s = self._decide(call)
        self._wait(max(0.0, call.started_at + latency_s - time.time()))
        return replace(answer, headers={"x-request-id": call.request_id, **answer.headers})

    def end(self, call: Call, answer: Answer, *, client_gone: bool) -> None:
        """Write the call down; a second time only adds that the caller had gone."""
        outcome = {Ending.DROP: DROPPED, Ending.HANG: HUNG}.get(call.manner.ending, answer.status)
        fetched = call.fetched
        with self._lock:
            journal = call.run.journal
            if call.entry is not None:
                if client_gone:
                    journal.caller_had_gone(call.entry)
                return
            call.run.working -= call.working
            call.entry = JournalEntry(
                id=journal.next_id,
                started_at=call.started_at,
                ended_at=time.time(),
                object_path=call.target.object_path,
                version_id=call.target.version_id,
                sha256=fetched.sha256 if fetched else None,
                md5=fetched.md5 if fetched else None,
                size=len(fetched.content) if fetched else None,
                outcome=outcome,
                because=answer.because,
                billed=call.billed,
                client_gone=client_gone,
                request_id=call.request_id,
            )
            journal.close(call.entry)

    def _decide(self, call: Call) -> tuple[Answer, float]:
        """Give the answer without a script, and after how many seconds it comes."""
        settings = call.settings
        if settings.down:
            return answers.error(503, "down"), settings.refusal_s
        if not is_key(call.request.api_key, settings.api_key):
            return answers.error(401, "key"), settings.refusal_s
        with self._lock:
            now = time.time()
            call.verdict = call.run.ask_limit(settings.limit, now)
            call.working = call.verdict.allowed
        if not call.working:
            return answers.error(429, "limit", headers=self._limit_headers(call, now)), settings.refusal_s
        return self._decide_within_limit(call)

    def _decide_within_limit(self, call: Call) -> tuple[Answer, float]:
        settings = call.settings
        if call.refusal is not None:
            return call.refusal, settings.refusal_s
        with self._lock:
            fault = draw(settings.faults, call.run.random)
            latency_s = settings.latency_s + call.run.random.uniform(-1, 1) * settings.latency_jitter_s
        match fault:
            case None:
                return self._work(call), latency_s
            case Fault.LIMITED:
                refused = replace(call.verdict, allowed=False, remaining=0, reset_at=time.time() + 1)
                call.verdict = refused
                headers = self._limit_headers(call, time.time())
                return answers.error(429, "fault 429", headers=headers), settings.refusal_s
            case _ if fault in _FAULT_ENDINGS:
                if fault in _BILLED_FAULTS:
                    worked = self._work(call)
                    if not call.billed:
                        return worked, latency_s
                call.manner = Manner(_FAULT_ENDINGS[fault])
                return answers.error(500, f"fault {fault.value}"), latency_s
            case _:
                return answers.error(int(fault.value), f"fault {fault.value}"), settings.refusal_s

    def _follow(self, scripted: ScriptedAnswer, call: Call) -> tuple[Answer, float]:
        """Give the answer that the script says."""
        settings = call.settings
        latency_s = settings.latency_s if scripted.works else settings.refusal_s
        if scripted.latency_s is not None:
            latency_s = scripted.latency_s
        worked = None
        if scripted.works:
            call.settings = replace(settings, body_kind=scripted.body_kind or settings.body_kind)
            worked = self._work(call, even_without_picture=scripted.body is not None)
            if not call.billed:
                return worked, latency_s
        # What is written by hand is sent as it is.
        endless_bytes = 0 if scripted.body is not None else call.manner.endless_bytes
        call.manner = Manner(scripted.ending, scripted.drip, scripted.drip_interval_s, endless_bytes)
        answer = worked or answers.error(scripted.status, "script")
        if scripted.body is not None:
            answer = replace(answer, body=scripted.body.encode(), content_type=scripted.content_type)
        return replace(answer, because="script", headers={**answer.headers, **scripted.headers}), latency_s

    def _work(self, call: Call, *, even_without_picture: bool = False) -> Answer:
        """Fetch, describe and bill; what comes of it is the answer."""
        if call.run.is_spent:
            return self._no_credits()
        prompt = ""
        if call.image_url is None and not even_without_picture:
            return call.refusal or answers.error(400, "no image_file")
        try:
            call.fetched = self._fetcher.fetch(call.image_url or "")
            prompt = self._describer.describe(call.fetched.sha256, call.fetched.content)
        except FetchError as error:
            if not even_without_picture:
                return answers.error(400, "fetch", str(error))
        except UndecodableError as error:
            if not even_without_picture:
                return answers.error(422, "decode", str(error))
        with self._lock:
            run = call.run
            if run.is_spent:
                return self._no_credits()
            price_usd = call.settings.price_usd
            run.bill(price_usd)
            call.billed = True
            balance_usd = run.balance_usd
        now = time.time()
        headers = {
            "x-cost": f"{price_usd:g}",
            "x-remaining-credits": f"{balance_usd:g}",
            "x-generation-time": f"{call.settings.latency_s:.3f}",
            "x-model": "simulator",  # so that nobody takes its prompts for those of the endpoint's model
            **self._limit_headers(call, now),
        }
        if call.settings.body_kind is BodyKind.ENDLESS:
            call.manner = Manner(endless_bytes=ENDLESS_BYTES)
        return described(call.settings.body_kind, prompt, headers)

    def _no_credits(self) -> Answer:
        return answers.error(406, "credits", answers.NO_CREDITS, headers={"x-remaining-credits": "0"})

    def _limit_headers(self, call: Call, now: float) -> dict[str, str]:
        settings = call.settings
        return limit_headers(
            call.verdict,
            now,
            settings.reset_header,
            remaining=settings.remaining_header,
            retry=settings.retry_after,
        )
