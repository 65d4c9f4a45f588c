"""The key and presigned URLs are nowhere in what a whole run leaves behind: logs, catalogs, ledgers, dead letters."""

import json

import pytest

from imagescribe_ops.simulator import ScriptedAnswer
from tests.stack.conftest import Stacks
from tests.stack.deployment import Deployment
from tests.stack.pictures import picture
from tests.stack.secrecy import left_behind, secrets_in

URL = "https://b.s3.amazonaws.com/a.png?X-Amz-Security-Token=FwoGZXIvYXdz%2Babc&X-Amz-Signature=0123456789abcdef&x=1"


@pytest.fixture(scope="module")
def _endpoint_that_repeats_what_it_was_sent(stack: Deployment) -> None:
    """Answers of each kind with the key and a signed URL in them."""
    words = f"you sent {stack.stack.cloud.api_key} and {URL}"
    body = json.dumps({"error": words})
    stack.script("secrecy/rejected.png", ScriptedAnswer(422, body=body))
    stack.script("secrecy/failing.png", ScriptedAnswer(500, times=3, body=body))
    stack.script("secrecy/limited.png", ScriptedAnswer(429, body=body))
    stack.script("secrecy/unreadable.png", ScriptedAnswer(200, body=f"<p>{words}</p>"))
    stack.script("secrecy/described.png", ScriptedAnswer(200, body=json.dumps({"prompt": words})))
    for name in ("rejected", "failing", "limited", "unreadable", "described"):
        stack.put(f"secrecy/{name}.png", picture())
    stack.until_status("rejected", "secrecy/rejected.png")
    stack.until_described("secrecy/limited.png", "secrecy/described.png")
    stack.until_dead("secrecy/failing.png")
    stack.until_dead("secrecy/unreadable.png")


@pytest.mark.last
@pytest.mark.usefixtures("_endpoint_that_repeats_what_it_was_sent")
def test_neither_a_key_nor_a_signed_url_is_left_anywhere(stacks: Stacks) -> None:
    left = list(left_behind(stacks.deployments))
    assert [text for text in left if "REDACTED" in text and "secrecy/" in text], "there was nothing to find"
    assert len({where for where, _, _ in (text.partition(":") for text in left)}) == 4
    assert secrets_in(stacks.keys, left) == []


@pytest.mark.last
@pytest.mark.usefixtures("_endpoint_that_repeats_what_it_was_sent")
def test_the_key_is_in_no_environment_and_in_no_template(stack: Deployment) -> None:
    function = stack.lambda_functions.get_function_configuration(FunctionName=stack.outputs.describe_function_name)
    template = stack.stack.connection.cloudformation().get_template(StackName=stack.stack.name)["TemplateBody"]
    assert stack.stack.cloud.api_key not in f"{function['Environment']} {template}"
