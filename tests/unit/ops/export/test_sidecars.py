"""Sidecars stay in their folder, keep the key's path, and never overwrite what is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagescribe_ops.errors import OperationError
from imagescribe_ops.export.sidecars import MAX_COMPLAINTS, Sidecars, sidecar_name
from tests.unit.ops.export.catalogs import make_record


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def sidecars(tmp_path: Path, said: list[str]) -> Sidecars:
    return Sidecars(tmp_path / "captions", said.append)


def files(tmp_path: Path) -> dict[str, str]:
    """All files under the test's directory, with what they say."""
    return {
        str(path.relative_to(tmp_path)): path.read_text(encoding="utf-8")
        for path in tmp_path.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("holiday/IMG 1.jpg", "holiday/IMG 1.txt"),
        ("a.tar.gz", "a.tar.txt"),
        ("plain", "plain.txt"),
        ("100%.png", "100%.txt"),
        ("/leading.png", "leading.txt"),
        ("//two//slashes//é.png", "two/slashes/é.txt"),
        ("dir.v1/a", "dir.v1/a.txt"),
    ],
)
def test_a_prompt_is_a_line_in_a_file_of_the_pictures_name(
    sidecars: Sidecars, key: str, name: str, tmp_path: Path, said: list[str]
) -> None:
    sidecars.write([make_record(key, prompt="a cat,\nasleep \u2028é")])
    assert files(tmp_path) == {f"captions/{name}": "a cat, asleep é\n"}
    assert (sidecars.written, said) == (1, [])


@pytest.mark.parametrize("key", ["../../up.png", "a/../../up.png", "..", ".", "a/./b.png", "/../up.png", "a/..", "/"])
def test_a_key_that_leads_elsewhere_is_left_out_and_said(
    sidecars: Sidecars, key: str, tmp_path: Path, said: list[str]
) -> None:
    sidecars.write([make_record(key)])
    assert files(tmp_path) == {}
    assert said == [f"No sidecar for s3://pictures/{key}: its key leads out of the folder."]


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1))
def test_no_key_leads_out_of_the_folder(key: str) -> None:
    name = sidecar_name(key)
    assert name is None or not (name.startswith("/") or {"", ".", ".."} & set(name.split("/")))


def test_an_image_without_a_prompt_has_no_sidecar(sidecars: Sidecars, tmp_path: Path) -> None:
    sidecars.write([make_record(status="rejected", prompt="")])
    assert files(tmp_path) == {}


def test_of_two_pictures_that_differ_in_the_suffix_the_second_is_left_out_and_said(
    sidecars: Sidecars, tmp_path: Path, said: list[str]
) -> None:
    sidecars.write([make_record("a.jpg", prompt="one"), make_record("a.png", prompt="two")])
    path = tmp_path / "captions" / "a.txt"
    assert files(tmp_path) == {"captions/a.txt": "one\n"}
    assert said == [f"No sidecar for s3://pictures/a.png: {path} is there already, with another text."]
    assert (sidecars.written, sidecars.left_out) == (1, 1)


def test_sidecars_that_are_there_already_are_no_complaint(sidecars: Sidecars, tmp_path: Path, said: list[str]) -> None:
    records = [make_record("a.jpg"), make_record("b/c.jpg")]
    sidecars.write(records)
    Sidecars(tmp_path / "captions", said.append).write(records)
    assert said == []


def test_what_a_person_wrote_is_left_as_it_is(sidecars: Sidecars, tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "captions" / "a.txt").write_text("mine", encoding="utf-8")
    sidecars.write([make_record("a.jpg")])
    assert files(tmp_path) == {"captions/a.txt": "mine"}
    assert len(said) == 1


@pytest.mark.parametrize("keys", [["a.txt/b.png", "a.png"], ["a", "a.txt/b.png"], ["k" * 300], ["nul\0.png"]])
def test_a_name_that_the_file_system_does_not_take_is_left_out_and_the_others_go_on(
    sidecars: Sidecars, tmp_path: Path, said: list[str], keys: list[str]
) -> None:
    sidecars.write([*map(make_record, keys), make_record("z.png")])
    assert "captions/z.txt" in files(tmp_path)
    assert len(said) == 1


def test_many_complaints_are_counted_after_the_first(sidecars: Sidecars, said: list[str]) -> None:
    sidecars.write([make_record(f"../{number}.png") for number in range(50)])
    assert (len(said), sidecars.left_out) == (MAX_COMPLAINTS, 50)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OperationError, match="could not be written"):
        Sidecars(tmp_path / "file" / "captions", print)
