"""The test server speaks the protocol, by OpenAI's own client; and the gateway asks as that client does."""

import pytest
from openai import NotFoundError, OpenAI, RateLimitError

from tests.model_server import MODEL, PROMPT, ModelServer, failed
from tests.unit.gateway.conftest import MODEL_KEY, Ask


@pytest.fixture
def client(model: ModelServer) -> OpenAI:
    return OpenAI(base_url=model.url, api_key=MODEL_KEY, max_retries=0)


def test_openais_client_understands_the_server(client: OpenAI, model: ModelServer) -> None:
    messages = [{"role": "user", "content": "hello"}]
    answered = client.chat.completions.create(model=MODEL, messages=messages)  # type: ignore[arg-type]
    assert answered.choices[0].message.content == PROMPT
    model.reply(failed(429, "slow down", "rate_limit_exceeded"))
    with pytest.raises(RateLimitError, match="slow down"):
        client.chat.completions.create(model=MODEL, messages=messages)  # type: ignore[arg-type]
    with pytest.raises(NotFoundError):
        client.chat.completions.create(model="another", messages=messages)  # type: ignore[arg-type]


def test_the_gateway_asks_as_openais_client_does(ask: Ask, client: OpenAI, model: ModelServer) -> None:
    """What the gateway sent goes through the client once more, whose types know it, and comes out the same."""
    ask()
    client.chat.completions.create(**model.requests[0])
    ours, theirs = model.requests
    assert ours == theirs
    assert model.keys == [f"Bearer {MODEL_KEY}"] * 2
