"""Where the project's own files are: template, functions, locked tools and samples."""

from __future__ import annotations

from pathlib import Path

PROJECT_DIRECTORY = Path(__file__).resolve().parents[2]
"""The checkout that this package runs from."""

TEMPLATE = PROJECT_DIRECTORY / "template.yaml"

CACHE_DIRECTORY = PROJECT_DIRECTORY / ".aws-sam" / "imagescribe"
"""What builds share: `sam build`'s cache of unpacked requirements, and the lock that keeps builds apart."""
