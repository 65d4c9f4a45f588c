"""What is different where the command was installed, and does not run from a checkout."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from imagescribe_ops import project
from imagescribe_ops.commands import hints
from imagescribe_ops.errors import OperationError
from imagescribe_ops.local import tools


class Distribution:
    def __init__(self, direct_url: object) -> None:
        self._direct_url = direct_url

    def read_text(self, _name: str) -> str | None:
        return json.dumps(self._direct_url) if self._direct_url else None


@pytest.mark.parametrize(
    ("direct_url", "words"),
    [
        ({"url": "file:///tmp/a b.whl", "archive_info": {}}, "uvx --from '/tmp/a b.whl' imagescribe"),
        (
            {"url": "https://host/project", "vcs_info": {"vcs": "git", "commit_id": "1"}},
            "uvx --from git+https://host/project imagescribe",
        ),
        (
            {"url": "https://host/project", "vcs_info": {"vcs": "git", "requested_revision": "v1", "commit_id": "1"}},
            "uvx --from git+https://host/project@v1 imagescribe",
        ),
        (None, "uvx imagescribe"),
    ],
)
def test_hints_say_how_uvx_was_asked(direct_url: object, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/home/ann/.cache/uv/archive-v0/abc")
    monkeypatch.setattr(hints, "distribution", lambda _name: Distribution(direct_url))
    assert hints.program() == words


def test_hints_are_plain_where_the_command_is_installed_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/home/ann/.local/share/uv/tools/imagescribe")
    assert hints.program() == "imagescribe"


def test_tools_of_an_installed_command_are_made_in_the_cache_of_the_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tools, "IS_INSTALLED", True)
    monkeypatch.setattr(project, "CACHE_DIRECTORY", tmp_path / "cache")
    made = tools._project(tools.Tool.SAM)
    assert made.is_relative_to(tmp_path / "cache" / "tools")
    assert sorted(path.name for path in made.iterdir()) == ["pyproject.toml", "uv.lock"]
    assert tools._project(tools.Tool.SAM) == made


def test_a_cache_that_cannot_be_made_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(project, "CACHE_DIRECTORY", tmp_path / "file" / "imagescribe")
    with pytest.raises(OperationError, match="can't be made"):
        project.cache_directory()


def test_a_machine_without_uv_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path))
    with pytest.raises(OperationError, match="pip install uv"):
        tools.find_uv()


def test_the_users_cache_follows_the_desktops_convention(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert project._user_cache() == tmp_path / "imagescribe"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert project._user_cache() == Path.home() / ".cache" / "imagescribe"
