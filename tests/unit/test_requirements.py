"""What goes into a zip is what is locked, file by file: its `requirements.txt` has the hash of each.

Of the files of a package it names the wheel that fits every machine, or else those for Lambda's two architectures.
Where `sam build` takes a wheel for another machine than it runs on, it asks for that by name alone and checks no hash.
"""

from __future__ import annotations

import re
import sys
import tomllib
from typing import Any

import pytest

from tests.factories import ROOT

FILES = {
    "lambda": "functions/requirements.txt",
    "search": "infra/layers/search/requirements.txt",
    "imaging": "functions/imaging/requirements.txt",
}
"""Of a dependency group, the file that `sam build` reads."""

ARCHITECTURES = ("x86_64", "aarch64")


def command(group: str) -> str:
    return f"uv run python -m tests.unit.test_requirements {group} > {FILES[group]}"


def requirements(group: str) -> str:
    """The file's text, as the lock has it."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    locked: dict[str, dict[str, Any]] = {package["name"]: package for package in lock["package"]}
    wanted = [re.split(r"[<>=!~\[ ]", each)[0] for each in project["dependency-groups"][group]]
    needed: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name not in needed:
            needed.add(name)
            wanted += [each["name"] for each in locked[name].get("dependencies", [])]
    lines = [f"# Made by: {command(group)}"]
    for package in (locked[name] for name in sorted(needed)):
        hashes = " ".join(f"--hash={wheel['hash']}" for wheel in _wheels(package["wheels"]))
        lines.append(f"{package['name']}=={package['version']} {hashes}")
    return "\n".join(lines)


def _wheels(wheels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    pure = [each for each in wheels if each["url"].endswith("-none-any.whl")]
    if pure:
        return pure
    fitting = [re.compile(rf"-cp313-cp313-manylinux[^/]*_{machine}\.whl$") for machine in ARCHITECTURES]
    compiled = [each for pattern in fitting for each in wheels if pattern.search(each["url"])]
    assert len(compiled) == len(ARCHITECTURES)
    return compiled


@pytest.mark.parametrize("group", FILES)
def test_a_zip_takes_exactly_the_files_that_are_locked_for_it(group: str) -> None:
    assert (ROOT / FILES[group]).read_text(encoding="utf-8") == requirements(group) + "\n", command(group)


def test_boto3_is_the_runtimes_own() -> None:
    assert "boto" not in "".join(map(requirements, FILES))


if __name__ == "__main__":
    print(requirements(sys.argv[1]))
