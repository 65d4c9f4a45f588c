"""What the wheel carries besides the packages, so that `demo`, `local` and `deploy` need no checkout.

A hook of the build, https://hatch.pypa.io/latest/plugins/build-hook/custom/, since an installation of the checkout
itself (editable) gets none of it. `imagescribe_ops/project.py` finds it again.
"""

from __future__ import annotations

from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CARRIED: Final = (
    "template.yaml",
    "functions",
    "infra/observability.yaml",
    "infra/layers",
    "infra/tools/sam/pyproject.toml",
    "infra/tools/sam/uv.lock",
    "infra/tools/ministack/pyproject.toml",
    "infra/tools/ministack/uv.lock",
    "events/samples",
)


class ProjectFiles(BuildHookInterface):  # type: ignore[misc]
    """Adds them."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Say what goes where, before the wheel is made."""
        if version != "editable":
            build_data["force_include"] |= {path: f"imagescribe_ops/project_files/{path}" for path in CARRIED}
