"""``python -m imagescribe_ops.simulator``: the simulator as a process.

It prints one JSON line ``{"url": …, "describe_url": …}`` when it listens, and nothing else on standard output. SIGTERM,
SIGINT and, if asked, the end of standard input end it with status 0.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from ssl import SSLError
from threading import Event, Thread

from imagescribe_ops.simulator.http.server import Simulator
from imagescribe_ops.simulator.limits import LimitKind
from imagescribe_ops.simulator.settings import SimulatorSettings, from_json


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the simulator until it is told to end."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        simulator = Simulator(_settings(given), given.port, given.certificate)
    except ValueError as error:
        parser.error(str(error))
    except SSLError as error:
        parser.exit(1, f"{given.certificate} can't be used: {error}\n")
    except (OSError, OverflowError) as error:
        parser.exit(1, f"cannot listen on port {given.port}: {error}\n")
    end = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    if given.exit_with_stdin:
        Thread(target=_wait_for_end_of_stdin, args=(end,), daemon=True).start()
    with simulator:
        print(json.dumps({"url": simulator.url, "describe_url": simulator.describe_url}), flush=True)
        end.wait()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m imagescribe_ops.simulator",
        description="A stand-in for the describe endpoint on this machine. Its control API is under /_simulator/.",
    )
    add = parser.add_argument
    add("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one (default)")
    add("--certificate", type=Path, metavar="PEM", help="listen over TLS besides: a certificate, its chain and its key")
    add("--key", default="", help="the API key that is taken")
    add("--latency", type=float, default=0.5, metavar="SECONDS", help="time that a description takes")
    add("--jitter", type=float, default=0.0, metavar="SECONDS", help="give or take of the latency")
    add("--limit-per-minute", type=float, metavar="CALLS", help="rate limit; without it there is none")
    add(
        "--limit-kind",
        choices=[LimitKind.TOKEN_BUCKET.value, LimitKind.FIXED_WINDOW.value],
        default=LimitKind.TOKEN_BUCKET.value,
        help="how calls are counted against the rate limit",
    )
    add("--limit-in-flight", type=float, metavar="CALLS", help="limit of calls at once, instead of a rate limit")
    add("--credits", type=float, metavar="USD", help="balance; without it, it is endless")
    add("--fault", action="append", default=[], metavar="NAME=PROBABILITY", help="such as 503=0.1 or drop_after=0.01")
    add("--seed", type=int, default=0, help="of faults and jitter")
    add("--settings-from-stdin", action="store_true", help="read all settings as one line of JSON instead")
    add("--exit-with-stdin", action="store_true", help="end when standard input does")
    return parser


def _settings(given: argparse.Namespace) -> SimulatorSettings:
    if given.settings_from_stdin:
        return from_json(SimulatorSettings, json.loads(_read_line()))
    limit: dict[str, object] = {}
    if given.limit_in_flight is not None:
        limit = {"kind": LimitKind.IN_FLIGHT.value, "amount": given.limit_in_flight}
    elif given.limit_per_minute is not None:
        limit = {"kind": given.limit_kind, "amount": given.limit_per_minute}
    faults = {}
    for text in given.fault:
        name, _, probability = text.partition("=")
        faults[name] = float(probability)
    return from_json(
        SimulatorSettings,
        {
            "api_key": given.key,
            "latency_s": given.latency,
            "latency_jitter_s": given.jitter,
            "credits_usd": given.credits,
            "limit": limit,
            "faults": faults,
            "seed": given.seed,
        },
    )


def _read_line() -> bytes:
    """Read standard input up to the end of its first line, and not a byte beyond."""
    line = bytearray()
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        line += byte
    return bytes(line)


def _wait_for_end_of_stdin(end: Event) -> None:
    # Unbuffered: a thread that waits inside sys.stdin would hold its lock while the interpreter ends.
    while os.read(0, 4096):
        pass
    end.set()


if __name__ == "__main__":
    sys.exit(main())
