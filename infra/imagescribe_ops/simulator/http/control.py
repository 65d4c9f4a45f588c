"""The control API under ``/_simulator/``: counts, journal, settings, script, reset."""

import json

from imagescribe_ops.contract import answers
from imagescribe_ops.contract.answers import Answer
from imagescribe_ops.simulator.endpoint import DescribeEndpoint
from imagescribe_ops.simulator.faults import ScriptedAnswer
from imagescribe_ops.simulator.settings import SimulatorSettings, from_json, to_json


def control(endpoint: DescribeEndpoint, method: str, name: str, since: str, body: bytes) -> Answer:
    """Answer a call of the control API; what is wrong with it comes back as a 400 that says so."""
    try:
        match method, name:
            case "GET", "counts":
                result: object = endpoint.counts()
            case "GET", "journal":
                result = {"calls": endpoint.journal(int(since))}
            case "GET", "settings":
                result = _shown(endpoint.settings)
            case "PUT", "settings":
                result = _shown(endpoint.change(_object(body)))
            case "POST", "script":
                scripted = _scripted(body)
                endpoint.add_to_script(scripted)
                result = {"added": len(scripted)}
            case "POST", "reset":
                endpoint.reset()
                result = {}
            case _:
                return answers.error(404, "control", f"there is no {method} {name}")
    except (ValueError, OverflowError, RecursionError) as error:
        return answers.error(400, "control", str(error))
    return answers.json_answer(200, to_json(result))


def _scripted(body: bytes) -> list[ScriptedAnswer]:
    match _object(body).get("answers"):
        case list() as given:
            return [from_json(ScriptedAnswer, each) for each in given]
        case _:
            raise ValueError("answers: a list of scripted answers")


def _object(body: bytes) -> dict[str, object]:
    match json.loads(body):
        case dict() as value:
            return value
        case _:
            raise ValueError("the body is not a JSON object")


def _shown(settings: SimulatorSettings) -> object:
    """Give the settings without the key."""
    shown = to_json(settings)
    if isinstance(shown, dict):
        del shown["api_key"]
    return shown
