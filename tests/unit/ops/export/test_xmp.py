"""An XMP sidecar is well-formed whatever is in the prompt, and says the prompt and the labels to whoever parses it."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imagescribe_ops.export.sidecars import Sidecars
from imagescribe_ops.export.xmp import XMP_SUFFIX, xmp_text
from tests.unit.ops.export.catalogs import make_record
from tests.unit.ops.export.test_texts import HOSTILE

NAMES = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
}
LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"


def parsed(text: str) -> tuple[dict[str, str], list[str]]:
    """The descriptions by their language, and the subjects."""
    root = ElementTree.fromstring(text.encode())  # as a reader of the file gets it
    assert root.tag == "{adobe:ns:meta/}xmpmeta"
    (description,) = root.findall("rdf:RDF/rdf:Description", NAMES)
    assert description.get(f"{{{NAMES['rdf']}}}about") == ""
    texts = {
        each.get(LANGUAGE, ""): each.text or "" for each in description.findall("dc:description/rdf:Alt/rdf:li", NAMES)
    }
    subjects = [each.text or "" for each in description.findall("dc:subject/rdf:Bag/rdf:li", NAMES)]
    return texts, subjects


@given(st.text(max_size=300), st.lists(st.text("abcé/:.@+-_1", min_size=1), unique=True, max_size=5))
@example(HOSTILE, ["boat"])
@example("]]> <!-- & \"quoted\" 'so' &amp; <?xpacket end='w'?> </rdf:li>", [])
@example("a\r\nb\rc\nd\te", [])
@example("\x00\x08\x0b\x1b\x7f\x85\u2028\ufeff\ufffe\uffff\U0001f98a", [])
def test_whatever_is_in_a_prompt_a_parser_gets_all_of_it_that_xml_can_hold(prompt: str, labels: list[str]) -> None:
    texts, subjects = parsed(xmp_text(make_record(prompt=prompt, labels=tuple(labels))))
    assert texts == {"x-default": re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "", prompt)}
    assert subjects == labels


def test_half_a_character_is_left_out() -> None:
    texts, _ = parsed(xmp_text(make_record(prompt="a\ud83d b")))
    assert texts == {"x-default": "a b"}


def test_without_labels_there_is_no_subject() -> None:
    assert "dc:subject" not in xmp_text(make_record())


def test_it_is_a_packet_as_xmp_has_it() -> None:
    text = xmp_text(make_record(prompt="a cat", labels=("cat", "pet")))
    lines = text.splitlines()
    assert lines[0] == '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    assert lines[-1] == '<?xpacket end="w"?>'
    assert "<dc:subject><rdf:Bag><rdf:li>cat</rdf:li><rdf:li>pet</rdf:li></rdf:Bag></dc:subject>" in text


@pytest.mark.parametrize("key", ["holiday/IMG 1.jpg", "a.tar.gz", "é"])
def test_it_lies_where_the_other_sidecars_do(key: str, tmp_path: Path) -> None:
    record = make_record(key, prompt="a cat")
    for suffix, text in ((".txt", lambda _record: "text"), (XMP_SUFFIX, xmp_text)):
        Sidecars(tmp_path, print, suffix, text).write([record])
    written = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert [path.suffix for path in written] == [".txt", ".xmp"]
    assert len({path.with_suffix("") for path in written}) == 1
