"""The control API for tests, benchmarks and the local stack, with types."""

from collections.abc import Mapping
from typing import Any

import requests

from imagescribe_ops.simulator.faults import ScriptedAnswer
from imagescribe_ops.simulator.journal import Counts, JournalEntry
from imagescribe_ops.simulator.settings import from_json, to_json

_TIMEOUT_S = 30.0


class SimulatorError(Exception):
    """The simulator refused what it was asked; the message is its own."""


class SimulatorClient:
    """Asks and sets a running simulator.

    Parameters
    ----------
    url
        Where the simulator listens, without a path.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        # A proxy of the environment must not get between two processes of one machine.
        self._session.trust_env = False

    @property
    def describe_url(self) -> str:
        """The endpoint's own URL."""
        return f"{self.url}/v1/ideogram-describe"

    def configure(self, **changes: object) -> dict[str, Any]:
        """Set some fields of `SimulatorSettings`; give all of them as they are now, without the key.

        Raises
        ------
        SimulatorError
            There is no such field, or the value is not one for it.
        """
        return self._ask("PUT", "settings", to_json(changes))

    def settings(self) -> dict[str, Any]:
        """Give the settings as JSON, without the key."""
        return self._ask("GET", "settings")

    def script(self, *answers: ScriptedAnswer) -> None:
        """Decide the answers of the next calls that match."""
        self._ask("POST", "script", {"answers": to_json(answers)})

    def counts(self) -> Counts:
        """Give the sums since the last reset."""
        return from_json(Counts, self._ask("GET", "counts"))

    def journal(self, since: int = 0) -> list[JournalEntry]:
        """Give the calls that ended after the one with this id, in the order in which they ended."""
        calls = self._ask("GET", f"journal?since={since}")["calls"]
        # Entries come by the thousand, and from our own server: straight into the class.
        return [JournalEntry(**call) for call in calls]

    def reset(self) -> None:
        """Go back to the settings of the start, with an empty journal and script."""
        self._ask("POST", "reset")

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def _ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        response = self._session.request(method, f"{self.url}/_simulator/{path}", json=body, timeout=_TIMEOUT_S)
        answer = response.json()
        if not isinstance(answer, Mapping):
            raise SimulatorError(f"{path}: not an object")
        if response.status_code != 200:
            raise SimulatorError(f"{path}: {answer.get('error', response.status_code)}")
        return dict(answer)
