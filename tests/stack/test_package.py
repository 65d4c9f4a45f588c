"""The zip that ships holds all that its handler imports, but for what Lambda's Python has on board."""

import json
import subprocess
import urllib.request
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from imagescribe_ops.tools import Tool, tool_binaries
from tests.stack.deployment import Deployment

ON_BOARD = {"boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3"}
"""The runtime's SDK and what it needs: https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html"""

IMPORT = """
import importlib, json, sys
code, handler = sys.argv[1:]
sys.path.insert(0, code)
importlib.import_module(handler.rpartition(".")[0])
print(json.dumps({
    name: getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", [])), "")
    for name, module in list(sys.modules.items())
    if name.partition(".")[0] not in {*sys.stdlib_module_names, "__main__", "__mp_main__"}
}))
"""


@pytest.fixture(scope="module", params=["describe_function_name", "recover_function_name"])
def imported(
    request: pytest.FixtureRequest, stack: Deployment, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, str]]:
    """Where a function's zip was unpacked, and the file of each module that importing its handler loads.

    The interpreter is the emulator's: it has boto3, as the runtime does, and nothing of this project.
    """
    name = getattr(stack.outputs, request.param)
    if not name:
        pytest.skip("this stack has no such function")
    function = stack.lambda_functions.get_function(FunctionName=name)
    with urllib.request.urlopen(function["Code"]["Location"], timeout=60) as answer:
        zipped = ZipFile(BytesIO(answer.read()))
    code = tmp_path_factory.mktemp("code")
    zipped.extractall(code)
    configuration = function["Configuration"]
    child = subprocess.run(
        [tool_binaries(Tool.MINISTACK) / "python", "-I", "-B", "-c", IMPORT, code, configuration["Handler"]],
        env={**configuration["Environment"]["Variables"], "AWS_DEFAULT_REGION": "us-east-1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    return code, json.loads(child.stdout.splitlines()[-1])


def test_every_module_comes_from_the_zip_or_from_the_runtime(imported: tuple[Path, dict[str, str]]) -> None:
    code, modules = imported
    foreign = {
        name: file
        for name, file in modules.items()
        if not Path(file).is_relative_to(code) and name.partition(".")[0] not in ON_BOARD
    }
    assert foreign == {}


def test_the_zip_holds_what_the_runtime_lacks_and_not_the_sdk_that_it_has(
    imported: tuple[Path, dict[str, str]],
) -> None:
    code, modules = imported
    assert Path(modules["imagescribe"]).is_relative_to(code)
    assert Path(modules["aws_lambda_powertools"]).is_relative_to(code)
    assert not (code / "boto3").exists()
    assert not (code / "botocore").exists()
