"""A stand-in for the describe endpoint, for one machine.

It keeps the documented contract of Segmind's ``POST /v1/ideogram-describe``: it checks the key, fetches the
presigned URL itself, decodes the picture and answers with a prompt made from its pixels. Limits, credits, latency
and faults are set by tests while it runs, and it keeps a journal of what it was asked and what it billed.

Who owns what: ``picture`` turns pixels into words, ``limits`` and ``faults`` are arithmetic without a clock,
``run`` holds what a reset starts afresh, ``endpoint`` decides what a call is answered, ``http`` speaks it, ``client``
and ``process`` are for its users.
"""

from imagescribe_ops.simulator.client import SimulatorClient, SimulatorError
from imagescribe_ops.simulator.faults import BodyKind, Drip, Ending, Fault, ScriptedAnswer
from imagescribe_ops.simulator.http.server import Simulator
from imagescribe_ops.simulator.journal import Counts, JournalEntry
from imagescribe_ops.simulator.limits import LimitKind, RateLimit
from imagescribe_ops.simulator.process import RunningSimulator, start_simulator
from imagescribe_ops.simulator.settings import ResetHeader, RetryAfter, SimulatorSettings

__all__ = [
    "BodyKind",
    "Counts",
    "Drip",
    "Ending",
    "Fault",
    "JournalEntry",
    "LimitKind",
    "RateLimit",
    "ResetHeader",
    "RetryAfter",
    "RunningSimulator",
    "ScriptedAnswer",
    "Simulator",
    "SimulatorClient",
    "SimulatorError",
    "SimulatorSettings",
    "start_simulator",
]
