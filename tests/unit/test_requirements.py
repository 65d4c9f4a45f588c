"""What goes into the zip is what is locked, file by file: `functions/requirements.txt` has the hash of each.

Of the files of a package it names the wheel that fits every machine. `sam build` checks the hash of such a wheel; where
it takes one for another machine than it runs on, it asks for that by name alone and checks nothing.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

from tests.factories import ROOT

COMMAND = "uv run python -m tests.unit.test_requirements > functions/requirements.txt"


def requirements() -> str:
    """The file's text, as the lock has it."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    locked: dict[str, dict[str, Any]] = {package["name"]: package for package in lock["package"]}
    wanted = [re.split(r"[<>=!~\[ ]", each)[0] for each in project["dependency-groups"]["lambda"]]
    needed: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name not in needed:
            needed.add(name)
            wanted += [each["name"] for each in locked[name].get("dependencies", [])]
    lines = [f"# Made by: {COMMAND}"]
    for package in (locked[name] for name in sorted(needed)):
        (wheel,) = [each for each in package["wheels"] if each["url"].endswith("-none-any.whl")]
        lines.append(f"{package['name']}=={package['version']} --hash={wheel['hash']}")
    return "\n".join(lines)


def test_the_zip_takes_exactly_the_files_that_are_locked_for_it() -> None:
    assert (ROOT / "functions/requirements.txt").read_text(encoding="utf-8") == requirements() + "\n", COMMAND


def test_boto3_is_the_runtimes_own() -> None:
    assert "boto" not in requirements()


if __name__ == "__main__":
    print(requirements())
