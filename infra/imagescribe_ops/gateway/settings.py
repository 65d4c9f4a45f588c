"""What a gateway is told at its start."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from secrets import token_urlsafe

from imagescribe_ops.contract.addresses import Reach

MAX_SIDE = 2048
"""Vision models take no more pixels a side, or scale down themselves."""


def default_instruction() -> str:
    """Return the instruction that ships: it asks for a prompt like the endpoint's."""
    return files("imagescribe_ops.gateway").joinpath("instruction.txt").read_text(encoding="utf-8").strip()


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Everything that can be set.

    Attributes
    ----------
    model_url
        The base of the model's API, such as ``http://127.0.0.1:11434/v1``.
    model
        The model's name there.
    api_key
        The key that callers have to give; made where none is given.
    model_key
        The key that the model asks for; None where it asks for none.
    instruction
        What the model is asked, beside the picture.
    options
        What else goes into the request's body, such as ``{"temperature": 0.2}``.
    max_concurrency
        Calls of the model at once; one more is answered with 429.
    timeout_s
        How long the model may take. Less than callers wait: what they left is asked for again.
    max_side
        A larger picture is scaled down to so many pixels a side.
    reach
        Where pictures are fetched from.
    """

    model_url: str
    model: str
    api_key: str = field(default_factory=partial(token_urlsafe, 24), repr=False)
    model_key: str | None = field(default=None, repr=False)
    instruction: str = field(default_factory=default_instruction)
    options: Mapping[str, object] = field(default_factory=dict)
    max_concurrency: int = 2
    timeout_s: float = 55.0
    max_side: int = 1024
    reach: Reach = field(default_factory=Reach)

    def __post_init__(self) -> None:
        if not self.api_key:
            raise ValueError("api_key is empty")
        if not (self.model.isascii() and self.model.isprintable() and self.model.strip()):
            raise ValueError("a model's name is of printable ASCII characters, since it stands in a header")
