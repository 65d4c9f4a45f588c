"""`imagescribe local` while it stays up."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from imagescribe_ops.aws.logs import LogLine
from imagescribe_ops.commands import local as cli_local
from imagescribe_ops.errors import OperationError

LINE = LogLine(1_764_158_400.0, "", {"message": "done", "result": "described", "image": "s3://pictures/cat.png"})


def test_outcomes_are_shown_again_after_the_emulator_did_not_answer_for_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks: Iterator[list[LogLine] | None] = iter([[], None, [LINE]])

    def follow(_since: float, *, seconds: float) -> Iterator[list[LogLine]]:
        for lines in looks:
            if lines is None:
                raise OperationError("AWS could not be reached.", "Check the network.")
            yield lines

    catalog = SimpleNamespace(get_many=lambda _images: [])
    monkeypatch.setattr(cli_local, "Logs", SimpleNamespace(of_stack=lambda *_: SimpleNamespace(follow=follow)))
    monkeypatch.setattr(cli_local, "CatalogView", lambda *_: catalog)
    monkeypatch.setattr(cli_local, "LOOK_SECONDS", 0)
    up_for = iter([True] * 3)
    emulator = SimpleNamespace(is_running=lambda: next(up_for, False), log_tail=lambda: "")
    up: Any = SimpleNamespace(
        connection=None, outputs=SimpleNamespace(catalog_table_name=""), cloud=SimpleNamespace(emulator=emulator)
    )
    with pytest.raises(OperationError, match="emulator ended"):
        cli_local._stay(up, quiet=False)
    assert "described  cat.png" in capsys.readouterr().out
