"""`sam build` of the template, compiled too, which `sam build` has no step for."""

from __future__ import annotations

import fcntl
import platform
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import yaml

from imagescribe_ops.deployment.sam import run, sam
from imagescribe_ops.errors import OperationError
from imagescribe_ops.local.tools import Tool, tool_binaries
from imagescribe_ops.project import CACHE_DIRECTORY, MISSING_ADVICE, PROJECT_DIRECTORY, TEMPLATE, cache_directory

BUILD_SECONDS = 300.0
COMPILE_SECONDS = 60.0

SAM_LOCK: Final = PROJECT_DIRECTORY / "infra" / "tools" / Tool.SAM / "uv.lock"

TASK_ROOT: Final = "/var/task"
"""Where Lambda unpacks a function: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html"""

LAYER_ROOT: Final = "/opt"
"""Where Lambda unpacks a layer: https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html"""


def architecture() -> str:
    """Return the architecture of this machine as Lambda calls it: an emulator runs the functions on nothing else."""
    return "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"


def build(
    directory: Path,
    template: Path = TEMPLATE,
    authority: Path | None = None,
    *,
    runs_on: str | None = None,
) -> Path:
    """Build the functions with `sam build` into a directory, compile them, and return the built template.

    The source directories in the template are relative to the project, wherever the template itself is. The last build
    for an architecture is kept, and copied as long as its sources are the same, which `sam build` takes seconds to find
    out. Builds of several processes take turns; what they build is kept apart by ``directory``.

    Parameters
    ----------
    authority
        A PEM file of an authority for certificates that the functions trust besides the public ones, where the
        endpoint is one of this machine.
    runs_on
        The architecture that the functions will run on, which compiled packages have to fit; None for this machine's.

    Raises
    ------
    OperationError
        The template is missing, or the build failed; what SAM or Python said is in the message.
    """
    if not template.is_file():
        raise OperationError(f"{template} is missing.", MISSING_ADVICE)
    with _build_lock():
        built = directory / "build"
        shutil.copytree(_latest(directory, template, runs_on or architecture()), built, symlinks=True)
    built_template = built / "template.yaml"
    for part in _built(built_template):
        authorities = part.code / "certifi" / "cacert.pem"  # of a function that calls somebody over TLS
        if authority and authorities.exists():
            with authorities.open("ab") as trusted:
                trusted.write(authority.read_bytes())
    return built_template


def _latest(directory: Path, template: Path, runs_on: str) -> Path:
    """Return the build of what the sources are now: the one that is kept, if it was made of the same."""
    latest, made_of = CACHE_DIRECTORY / f"latest-{runs_on}", CACHE_DIRECTORY / f"latest-{runs_on}.sha256"
    sources = _digest_of_sources(template)
    if made_of.is_file() and made_of.read_text(encoding="ascii") == sources:
        return latest
    made_of.unlink(missing_ok=True)  # until it is whole
    shutil.rmtree(latest, ignore_errors=True)
    # `sam build` keeps what it knows of earlier builds beside the build directory, so that has to be the same one each
    # time.
    by_sam = CACHE_DIRECTORY / "build"
    sam(
        "build",
        {
            "--template-file": template,
            "--base-dir": PROJECT_DIRECTORY,
            "--build-dir": by_sam,
            "--cache-dir": CACHE_DIRECTORY / "cache",
            "--parameter-overrides": f"Architecture={runs_on}",
        },
        ["--cached"],
        directory=directory,
        extra={},
        seconds=BUILD_SECONDS,
    )
    _copy(by_sam, latest)
    for part in _built(latest / "template.yaml"):
        _compile(part, directory)
    made_of.write_text(sources, encoding="ascii")
    return latest


def _digest_of_sources(template: Path) -> str:
    """Return a digest of all that a build is made of, and of what makes it."""
    text = template.read_text(encoding="utf-8")
    digest = sha256(f"{text}\0".encode())
    for maker in (SAM_LOCK, Path(__file__)):
        digest.update(maker.read_bytes())
    for source in sorted(set(re.findall(r"^ +(?:CodeUri|ContentUri|TemplateURL): (\S+)$", text, re.MULTILINE))):
        digest.update(f"{source}\0{_digest(PROJECT_DIRECTORY / source)}\0".encode())
    return digest.hexdigest()


def _copy(latest: Path, built: Path) -> None:
    """Copy what was built, and functions of the same code once, which `sam build` makes one of for each function."""
    template = (latest / "template.yaml").read_text(encoding="utf-8")
    first: dict[str, str] = {}
    same = {}
    for name in re.findall(r"^ +CodeUri: (\w+)$", template, re.MULTILINE):
        same[name] = first.setdefault(_digest(latest / name), name)
    template = re.sub(r"^( +CodeUri: )(\w+)$", lambda found: found[1] + same[found[2]], template, flags=re.MULTILINE)
    left_out = {name for name in same if same[name] != name}
    shutil.copytree(latest, built, symlinks=True, ignore=lambda at, _: left_out if Path(at) == latest else ())
    (built / "template.yaml").write_text(template, encoding="utf-8")


def _digest(source: Path) -> str:
    """Return a digest of a file, or of all files in a directory and of their names; not of what Python compiled."""
    digest = sha256()
    for path in sorted(each for each in (source, *source.rglob("*")) if each.is_file()):
        if "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(source)}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _Built:
    """What `sam build` made of a function or a layer.

    Attributes
    ----------
    runtime
        Such as ``python3.13``.
    root
        Where Lambda unpacks it.
    """

    code: Path
    runtime: str
    root: str


def _built(built_template: Path) -> list[_Built]:
    # `sam build` writes the functions of CloudFormation in their long form, which is plain YAML.
    content: dict[str, Any] = yaml.safe_load(built_template.read_text(encoding="utf-8"))
    shared = content.get("Globals", {}).get("Function", {})
    found: dict[Path, _Built] = {}
    for resource in content["Resources"].values():
        properties = resource.get("Properties", {})
        match resource["Type"]:
            case "AWS::Serverless::Function":
                function = shared | properties
                code = built_template.parent / function["CodeUri"]
                found[code] = _Built(code, function["Runtime"], TASK_ROOT)
            case "AWS::Serverless::LayerVersion":
                code = built_template.parent / properties["ContentUri"]
                found[code] = _Built(code, properties["CompatibleRuntimes"][0], LAYER_ROOT)
    return list(found.values())


def _compile(built: _Built, directory: Path) -> None:
    """Compile what was built for its runtime.

    Lambda cannot write beside the code: what comes uncompiled is compiled again at each cold start, nearly half of it.
    """
    # A runtime has the name of its interpreter. `sam build` found it here too, and another version's compiled modules
    # would be passed over without a word.
    python = tool_binaries(Tool.SAM) / built.runtime
    if not python.exists():
        raise OperationError(
            f"The template asks for {built.runtime}, which the locked tools do not have.",
            "Bring `requires-python` in infra/tools/sam in line with the template's runtime.",
        )
    # unchecked-hash: valid whatever the time of the source, which a zip does not keep. -s, -p: modules name the place
    # where they will be, not the one where they were built.
    options = ["-q", "--invalidation-mode", "unchecked-hash", "-s", str(built.code), "-p", built.root]
    run(
        f"compileall {built.code.name}",
        [python, "-m", "compileall", *options, built.code],
        environment={},  # the user's PYTHONPYCACHEPREFIX would put them elsewhere
        log_path=directory / f"compile-{built.code.name}.log",
        seconds=COMPILE_SECONDS,
    )


@contextmanager
def _build_lock() -> Iterator[None]:
    with (cache_directory() / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file is closed, however this process ends
        yield
