"""What can be set on the simulator, at its start and while it runs."""

import dataclasses
import math
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any, Union, get_args, get_origin, get_type_hints

from imagescribe_ops.simulator.faults import BodyKind, Fault, check_odds
from imagescribe_ops.simulator.limits import RateLimit

PRICE_USD = 0.015


class ResetHeader(StrEnum):
    """How ``x-rate-limit-reset-at-utc`` is written. Its format is documented nowhere."""

    OFF = "off"
    ISO = "iso"
    EPOCH = "epoch"


class RetryAfter(StrEnum):
    """How ``Retry-After`` is written (RFC 9110, 10.2.3). The endpoint documents none, so it is off by default."""

    OFF = "off"
    SECONDS = "seconds"
    DATE = "date"


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """Everything that tests set.

    Attributes
    ----------
    api_key
        The one key that is taken.
    latency_s, latency_jitter_s
        Seconds that a description takes, give or take the jitter.
    refusal_s
        Seconds until an answer that took no work: 401, 406, 429, 5xx.
    credits_usd
        The balance; None for an endless one. Setting it sets the balance afresh.
    price_usd
        Of one 200.
    limit
        The rate limit.
    reset_header, remaining_header, retry_after
        Which headers tell of the limit.
    faults
        Probability of each fault; one call meets at most one. Setting it replaces all of them.
    hang_s
        Seconds that a hanging call keeps its connection open.
    seed
        Of faults and jitter.
    body_kind
        The shape of a 200's body.
    down
        Answer 503 to every describe call.
    """

    api_key: str = field(repr=False)
    latency_s: float = 0.5
    latency_jitter_s: float = 0.0
    refusal_s: float = 0.1
    credits_usd: float | None = None
    price_usd: float = PRICE_USD
    limit: RateLimit = field(default_factory=RateLimit)
    reset_header: ResetHeader = ResetHeader.ISO
    remaining_header: bool = False
    retry_after: RetryAfter = RetryAfter.OFF
    faults: Mapping[Fault, float] = field(default_factory=dict)
    hang_s: float = 60.0
    seed: int = 0
    body_kind: BodyKind = BodyKind.DESCRIPTIONS
    down: bool = False

    def __post_init__(self) -> None:
        if not self.api_key:
            raise ValueError("api_key is empty")
        for name in ("latency_s", "latency_jitter_s", "refusal_s", "price_usd", "hang_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is negative")
        check_odds(self.faults)


def changed(settings: SimulatorSettings, changes: Mapping[str, object]) -> SimulatorSettings:
    """Give the settings with some fields set from JSON; raise ValueError that names the field that is wrong."""
    return dataclasses.replace(settings, **_fields(SimulatorSettings, changes))


def from_json[T](kind: type[T], value: object) -> T:
    """Read a dataclass of this package from decoded JSON; raise ValueError that names the field that is wrong."""
    match value:
        case Mapping():
            try:
                return kind(**_fields(kind, value))
            except TypeError as error:
                raise ValueError(f"{kind.__name__}: {error}") from error
        case _:
            raise ValueError(f"{kind.__name__} is an object")


def to_json(value: object) -> object:
    """Give dataclasses, enums and mappings as what ``json.dumps`` takes."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: to_json(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(to_json(key)): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value.value if isinstance(value, Enum) else value


def _fields(kind: type, values: Mapping[str, object]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    names = {each.name for each in dataclasses.fields(kind)}
    if unknown := sorted(set(values) - names):
        raise ValueError(f"{kind.__name__} has no {', '.join(unknown)}; it has {', '.join(sorted(names))}")
    return {name: _read(name, hints[name], value) for name, value in values.items()}


def _read(name: str, hint: Any, value: object) -> Any:
    """Read one value by the type that its field has; JSON knows one kind of number, so an int is a float too."""
    wrong = ValueError(f"{name}: {value!r} is not of the right kind")
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        some = next(each for each in get_args(hint) if each is not types.NoneType)
        return None if value is None else _read(name, some, value)
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise wrong
        key_hint, item_hint = get_args(hint)
        return {_read(name, key_hint, key): _read(name, item_hint, item) for key, item in value.items()}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _choice(name, hint, value)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return from_json(hint, value)
    wanted = (int, float) if hint is float else hint
    if not isinstance(value, wanted) or (isinstance(value, bool) and hint is not bool):
        raise wrong
    if isinstance(value, float) and not math.isfinite(value):
        raise wrong
    return hint(value)


def _choice(name: str, kind: type[Enum], value: object) -> Enum:
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"{name}: {value!r} is none of {', '.join(str(each.value) for each in kind)}") from None
