"""The last build is kept for as long as its sources are the same. `sam build` itself is stood in for here."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from imagescribe_ops.deployment import build as builds
from imagescribe_ops.errors import OperationError

TEMPLATE = """
Resources:
  Describe:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/
      Runtime: python3.13
"""
BUILT = TEMPLATE.replace("functions/", "Describe")


class Project:
    """A project of one function, and what was done with it."""

    def __init__(self, root: Path) -> None:
        self.root, self.cache = root, root / "cache"
        self.template = root / "template.yaml"
        self.source = root / "functions" / "handler.py"
        self.built, self.compiled, self.asked = 0, 0, 0
        self.fails = False
        for path, text in ((self.template, TEMPLATE), (self.source, "answer = 1\n"), (root / "uv.lock", "")):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def build(self, **options: Any) -> Path:
        """Build into a new directory, and return what the function became there."""
        self.asked += 1
        directory = self.root / f"run-{self.asked}"
        directory.mkdir()
        return builds.build(directory, self.template, **options).parent / "Describe"

    def sam(self, verb: str, options: Mapping[str, Path], *_: object, **__: object) -> None:
        target = options["--build-dir"]
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.source.parent, target / "Describe")
        (target / "template.yaml").write_text(BUILT, encoding="utf-8")
        self.built += 1
        if self.fails:
            raise OperationError("`sam build` failed.", "Try again.")

    def compile(self, *_: object) -> None:
        self.compiled += 1


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    project = Project(tmp_path)
    monkeypatch.setattr(builds, "PROJECT_DIRECTORY", tmp_path)
    monkeypatch.setattr(builds, "SAM_LOCK", tmp_path / "uv.lock")
    monkeypatch.setattr(builds, "CACHE_DIRECTORY", project.cache)
    monkeypatch.setattr(builds, "cache_directory", lambda: project.cache)
    monkeypatch.setattr(builds, "sam", project.sam)
    monkeypatch.setattr(builds, "_compile", project.compile)
    project.cache.mkdir()
    return project


def test_what_is_built_is_built_once(project: Project) -> None:
    first, second = project.build(), project.build()
    assert (project.built, project.compiled) == (1, 1)
    assert first != second
    assert (first / "handler.py").read_text(encoding="utf-8") == (second / "handler.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("change", ["source", "new file", "template", "architecture", "sam"])
def test_what_changed_is_built_again(project: Project, change: str) -> None:
    project.build(runs_on="arm64")
    match change:
        case "source":
            project.source.write_text("answer = 2\n", encoding="utf-8")
        case "new file":
            project.source.with_name("another.py").touch()
        case "template":
            project.template.write_text(TEMPLATE + "\n", encoding="utf-8")
        case "sam":
            (project.root / "uv.lock").write_text("another version", encoding="utf-8")
    built = project.build(runs_on="x86_64" if change == "architecture" else "arm64")
    assert project.built == 2
    assert {path.name for path in built.iterdir()} == {path.name for path in project.source.parent.iterdir()}
    assert (built / "handler.py").read_text(encoding="utf-8") == project.source.read_text(encoding="utf-8")


def test_what_python_compiled_beside_the_sources_changes_nothing(project: Project) -> None:
    project.build()
    (project.source.parent / "__pycache__").mkdir()
    (project.source.parent / "__pycache__" / "handler.pyc").touch()
    project.build()
    assert project.built == 1


def test_a_build_that_failed_is_not_kept(project: Project) -> None:
    project.build()
    before = project.source.read_text(encoding="utf-8")
    project.source.write_text("broken\n", encoding="utf-8")
    project.fails = True
    with pytest.raises(OperationError):
        project.build()
    project.source.write_text(before, encoding="utf-8")  # what was kept of this is gone too
    project.fails = False
    built = project.build()
    assert project.built == 3
    assert (built / "handler.py").read_text(encoding="utf-8") == before


def test_an_authority_that_one_deployment_trusts_is_not_kept(project: Project, tmp_path: Path) -> None:
    (project.source.parent / "certifi").mkdir()
    (project.source.parent / "certifi" / "cacert.pem").write_text("public\n", encoding="utf-8")
    authority = tmp_path / "authority.pem"
    authority.write_text("ours\n", encoding="utf-8")
    trusting, others = project.build(authority=authority), project.build()
    assert (trusting / "certifi" / "cacert.pem").read_text(encoding="utf-8") == "public\nours\n"
    assert (others / "certifi" / "cacert.pem").read_text(encoding="utf-8") == "public\n"
