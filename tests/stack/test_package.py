"""The zip that ships holds all that its handler imports, but for what Lambda's Python has on board, and compiled."""

import json
import marshal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import MAGIC_NUMBER
from io import BytesIO
from pathlib import Path
from types import CodeType
from zipfile import ZipFile

import pytest

from imagescribe_ops.local.tools import Tool, tool_binaries
from tests.stack.deployment import Deployment

ON_BOARD = {"boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3"}
"""The runtime's SDK and what it needs: https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html"""

TASK_ROOT = Path("/var/task")
"""Where Lambda unpacks the zip: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html"""

LAYER_ROOT = Path("/opt")
"""Where Lambda unpacks a layer: https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html"""

IMPORT = """
import importlib, json, sys
from importlib.machinery import SourceFileLoader
handler, *places = sys.argv[1:]
compiled = []
source_to_code = SourceFileLoader.source_to_code
def noted(loader, source, path, **options):
    compiled.append(path)
    return source_to_code(loader, source, path, **options)
SourceFileLoader.source_to_code = noted
sys.path[:0] = places
importlib.import_module(handler.rpartition(".")[0])
modules = {
    name: getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", [])), "")
    for name, module in list(sys.modules.items())
    if name.partition(".")[0] not in {*sys.stdlib_module_names, "__main__", "__mp_main__"}
}
print(json.dumps({"modules": modules, "compiled": compiled}))
"""


@dataclass(frozen=True, slots=True)
class Start:
    """A function's zip and its layers, unpacked, and what importing its handler did.

    Attributes
    ----------
    code
        Where its zip was unpacked.
    places
        Where that and its layers were unpacked, and where Lambda does that.
    runtime
        What the function runs on, such as ``python3.13``.
    modules
        The file of each module that was loaded.
    compiled
        The files that had to be compiled for it.
    """

    code: Path
    places: dict[Path, Path]
    runtime: str
    modules: dict[str, str]
    compiled: list[str]

    @property
    def is_imaging(self) -> bool:
        """Whether it is of the imaging function."""
        return (self.code / "renditions").exists()

    def has(self, file: str | Path) -> bool:
        """Say whether a file came with the function."""
        return any(Path(file).is_relative_to(place) for place in self.places)

    def sources(self) -> Iterator[Path]:
        """Yield the Python files that came with the function."""
        for place in self.places:
            yield from place.rglob("*.py")


FUNCTIONS = [
    "describe_function_name",
    "recover_function_name",
    "query_function_name",
    "snapshot_function_name",
    "imaging_function_name",
]


@pytest.fixture(scope="module", params=FUNCTIONS)
def start(request: pytest.FixtureRequest, stack: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Start:
    """A start of each function.

    The interpreter is the emulator's: it has boto3, as the runtime does, and nothing of this project.
    """
    name = getattr(stack.outputs, request.param)
    assert name
    function = stack.lambda_functions.get_function(FunctionName=name)
    code = unpacked(function["Code"]["Location"], tmp_path_factory.mktemp("code"))
    configuration = function["Configuration"]
    places = {code: TASK_ROOT}
    for layer in configuration.get("Layers", []):
        version = stack.lambda_functions.get_layer_version_by_arn(Arn=layer["Arn"])
        places[unpacked(version["Content"]["Location"], tmp_path_factory.mktemp("layer"))] = LAYER_ROOT
    search_path = [place if root == TASK_ROOT else place / "python" for place, root in places.items()]
    child = subprocess.run(
        [tool_binaries(Tool.MINISTACK) / "python", "-I", "-B", "-c", IMPORT, configuration["Handler"], *search_path],
        env={**configuration["Environment"]["Variables"], "AWS_DEFAULT_REGION": "us-east-1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    return Start(code, places, configuration["Runtime"], **json.loads(child.stdout.splitlines()[-1]))


def unpacked(url: str, place: Path) -> Path:
    with urllib.request.urlopen(url, timeout=60) as answer:
        ZipFile(BytesIO(answer.read())).extractall(place)
    return place


def test_every_module_comes_from_the_zip_or_from_the_runtime(start: Start) -> None:
    foreign = {
        name: file
        for name, file in start.modules.items()
        if not start.has(file) and name.partition(".")[0] not in ON_BOARD
    }
    assert foreign == {}


def test_the_zip_holds_what_the_runtime_lacks_and_not_the_sdk_that_it_has(start: Start) -> None:
    needed = {"renditions", "PIL", "pi_heif"} if start.is_imaging else {"imagescribe", "aws_lambda_powertools"}
    assert all(Path(start.modules[name]).is_relative_to(start.code) for name in needed)
    assert not (start.code / "boto3").exists()
    assert not (start.code / "botocore").exists()


def test_no_function_but_the_imaging_one_carries_or_loads_what_decodes_pictures(start: Start) -> None:
    assert (start.code / "PIL").exists() is start.is_imaging
    assert ("PIL" in start.modules) is start.is_imaging


def test_a_start_compiles_nothing_of_the_zip(start: Start) -> None:
    assert [file for file in start.compiled if start.has(file)] == []


def test_every_module_of_the_zip_is_compiled_for_the_functions_runtime(start: Start) -> None:
    version = start.runtime.removeprefix("python")
    assert version == f"{sys.version_info.major}.{sys.version_info.minor}"  # whose magic number is looked for
    sources = list(start.sources())
    assert sources
    assert [source for source in sources if not _compiled(source, version).is_file()] == []
    for source in sources:
        header = _compiled(source, version).read_bytes()[:8]
        # 1: valid whatever the time of the source, which a zip does not keep (https://peps.python.org/pep-0552/).
        assert header == MAGIC_NUMBER + (1).to_bytes(4, "little"), source


def test_compiled_modules_name_the_place_in_lambda_and_none_of_the_machine_that_built_them(start: Start) -> None:
    version = start.runtime.removeprefix("python")
    for place, root in start.places.items():
        for source in place.rglob("*.py"):
            code = marshal.loads(_compiled(source, version).read_bytes()[16:])
            assert set(_filenames(code)) == {str(root / source.relative_to(place))}


def test_what_is_in_the_search_layer_is_in_no_zip(start: Start) -> None:
    assert not (start.code / "apsw").exists()
    assert not (start.code / "msgspec").exists()


def _compiled(source: Path, version: str) -> Path:
    return source.parent / "__pycache__" / f"{source.stem}.cpython-{version.replace('.', '')}.pyc"


def _filenames(code: CodeType) -> Iterator[str]:
    yield code.co_filename
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _filenames(constant)
