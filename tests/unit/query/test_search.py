"""What is in the catalog is found, at once and in order; what is not there any more is never shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from imagescribe.model.tags import TagState
from imagescribe.model.times import milliseconds
from imagescribe.query import cursors, search
from imagescribe.query.grammar import parse
from imagescribe.query.index import Range
from imagescribe.query.records import Entry
from tests.factories import Clock
from tests.unit.query.conftest import BUCKET, Library, best, make_library, newest

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client


WHERE = ["snapshot", "fresh", "both"]


@pytest.fixture(params=WHERE)
def where(request: pytest.FixtureRequest) -> str:
    """Whether what is looked for is in the snapshot, was described since, or some of each."""
    return str(request.param)


def fill(library: Library, where: str, *prompts: str) -> None:
    for number, prompt in enumerate(prompts):
        library.describe(f"{number}.png", prompt)
        if where == "both" and number == len(prompts) // 2:
            make_snapshot(library)
    if where == "snapshot":
        make_snapshot(library)


def make_snapshot(library: Library) -> None:
    """Make it, and let the time be over for which what it has is looked for in the catalog too."""
    library.clock.sleep(120)
    library.job.run(always=True)


# ── Finding ──────────────────────────────────────────────────────────────────────────────────────────────────────────

PROMPTS = (
    "A red boat at dusk, soft light",
    "Two red boats and a ship at dawn",
    "The café by the sea; boats, seen from the red roof",
    "A ship under a pale sky",
    "Beautiful lighting on a red-brick house",
)


@pytest.fixture(scope="module", params=WHERE)
def prompts(
    request: pytest.FixtureRequest,
    dynamodb: DynamoDBClient,
    s3: S3Client,
    tmp_path_factory: pytest.TempPathFactory,
) -> Library:
    """What the tests share that only search."""
    library = make_library(dynamodb, s3, tmp_path_factory.mktemp("library"), Clock())
    fill(library, request.param, *PROMPTS)
    return library


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("boat", [2, 1, 0]),
        ("BOATS", [2, 1, 0]),
        ("red boat", [2, 1, 0]),
        ('"red boat"', [1, 0]),
        ("cafe", [2]),
        ("Café", [2]),
        ("boat -ship", [2, 0]),
        ('red -"red boat"', [4, 2]),
        ("boat OR ship", [3, 2, 1, 0]),
        ("dusk OR dawn red", [1, 0]),
        ("beautif*", [4]),
        ("lighti*", [4, 0]),
        ("bo*", [2, 1, 0]),
        ("red-br*", [4]),
        ("boat -sh*", [2, 0]),
        ("zebra", []),
        ("ze*", []),
        ("boat -ze*", [2, 1, 0]),
    ],
)
def test_a_query_finds_what_it_says_newest_first(prompts: Library, query: str, found: list[int]) -> None:
    assert newest(prompts.search(), query) == [f"{number}.png" for number in found]
    assert sorted(best(prompts.search(), query)) == sorted(f"{number}.png" for number in found)


def test_a_prompt_is_found_as_soon_as_its_record_stands(library: Library) -> None:
    running = library.search()
    library.describe("old.png", "a boat")
    assert newest(running, "boat") == ["old.png"]
    library.describe("new.png", "a boat")
    assert newest(running, "boat") == ["new.png", "old.png"]


def test_what_was_described_while_the_snapshot_was_made_is_not_missed(library: Library) -> None:
    library.describe("before.png", "a boat")
    library.clock.sleep(3_600)
    late = library.upload("late.png")
    library.clock.sleep(-20)  # its writer's clock, or the write that took long: the record has an earlier time on it
    library.catalog.describe(late, "2026-11-02T09:15:04.000Z", "a late boat", TagState.WRITTEN, 0)
    library.clock.sleep(20)
    hidden = library.reader.get(late.image)
    assert hidden
    library.take_out(late.image)
    library.job.run(always=True)
    running = library.search()
    assert newest(running, "boat") == ["before.png"]
    library.catalog.open(late)
    library.clock.sleep(-20)
    library.catalog.describe(late, "2026-11-02T09:15:04.000Z", "a late boat", TagState.WRITTEN, 0)
    library.clock.sleep(20)
    assert newest(running, "late boat") == ["late.png"]


def test_a_copy_of_an_image_that_was_paid_for_long_ago_is_as_new_as_its_record(library: Library) -> None:
    fill(library, "snapshot", "a boat")
    copy = library.upload("copy.png")
    library.catalog.describe(copy, "2024-01-01T00:00:00.000Z", "a boat", TagState.WRITTEN, 0)
    assert newest(library.search(), "boat") == ["copy.png", "0.png"]


def test_the_rarer_word_tells_more_where_the_best_come_first(library: Library, where: str) -> None:
    fill(
        library, where, "boat", *["a boat by the pier"] * 5, "an osprey above a boat by the pier", "a boat by the pier"
    )
    assert best(library.search(), "osprey OR boat")[0] == "6.png"
    assert best(library.search(), "boat")[0] == "0.png"  # the shortest


# ── The catalog has the last word ────────────────────────────────────────────────────────────────────────────────────


def test_what_was_deleted_is_not_shown(library: Library, where: str) -> None:
    fill(library, where, "a boat", "a boat", "a boat")
    running = library.search()
    assert newest(running, "boat") == ["2.png", "1.png", "0.png"]
    for key in ("0.png", "2.png"):
        library.take_out(f"s3://{BUCKET}/{key}")
    assert newest(running, "boat") == ["1.png"]
    assert best(running, "boat") == ["1.png"]
    assert newest(library.search(), "boat") == ["1.png"]


def test_what_was_overwritten_is_found_by_its_new_prompt_only(library: Library, where: str) -> None:
    fill(library, where, "a boat", "a boat", "a boat")
    running = library.search()
    newest(running, "boat")
    again = library.upload("1.png", etag="another")
    assert newest(running, "boat") == ["2.png", "0.png"]  # it is being described
    library.catalog.describe(again, "2026-11-02T09:15:04.000Z", "a horse", TagState.WRITTEN, 0)
    for each in (running, library.search()):
        assert newest(each, "boat") == ["2.png", "0.png"]
        assert newest(each, "horse") == ["1.png"]
        assert best(each, "boat OR horse")[0] == "1.png"


def test_what_is_described_again_is_found_by_its_old_prompt_until_there_is_a_new_one(
    library: Library, where: str
) -> None:
    fill(library, where, "a boat", "a boat", "a boat")
    running = library.search()
    again = library.upload("1.png")
    for each in (running, library.search()):
        assert newest(each, "boat") == ["2.png", "1.png", "0.png"]
    library.catalog.describe(again, "2026-11-02T09:15:04.000Z", "a horse", TagState.WRITTEN, 0)
    assert newest(running, "boat") == ["2.png", "0.png"]


def test_what_was_described_anew_stands_once_and_in_its_new_place(library: Library, where: str) -> None:
    fill(library, where, "a boat", "a boat", "a boat")
    running = library.search()
    newest(running, "boat")
    library.describe("0.png", "a boat again")
    for each in (running, library.search()):
        assert newest(each, "boat") == ["0.png", "2.png", "1.png"]
        assert sorted(best(each, "boat")) == ["0.png", "1.png", "2.png"]


# ── Pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_pages_go_on_where_the_one_before_ended_whatever_comes_and_goes_meanwhile(library: Library, where: str) -> None:
    fill(library, where, *["a boat"] * 9)
    found, after = [], ""
    for _ in range(20):
        before = Entry(*cursors.decode(after, int, str)) if after else None  # type: ignore[arg-type]
        page = library.search().newest(parse("boat"), Range(before=before), 2)
        found += [hit.record.key for hit in page.hits]
        after = page.after
        if len(found) == 4:
            library.describe("newer.png", "a boat")
            make_snapshot(library)
        if not after:
            break
    assert found == [f"{number}.png" for number in reversed(range(9))]


def test_pages_of_the_best_go_on_too(library: Library, where: str) -> None:
    fill(library, where, *["a boat"] * 5)
    found, skip = [], 0
    for _ in range(10):
        page = library.search().best(parse("boat"), Range(), 2, skip)
        found += [hit.record.key for hit in page.hits]
        if not page.after:
            break
        (skip,) = cursors.decode(page.after, int)  # type: ignore[assignment]
    assert found == [f"{number}.png" for number in reversed(range(5))]


def test_a_page_is_filled_up_where_hits_are_gone(library: Library, where: str) -> None:
    fill(library, where, *["a boat"] * 6)
    running = library.search()
    newest(running, "boat")
    for number in (5, 3):
        library.take_out(f"s3://{BUCKET}/{number}.png")
    assert newest(running, "boat", limit=3) == ["4.png", "2.png", "1.png"]


def test_only_what_was_described_between_two_times(library: Library, where: str) -> None:
    fill(library, where, *["a boat"] * 5)
    times = {record.key: milliseconds(record.updated_at) for record in library.pages.page().records}
    wanted = Range(since=times["1.png"], until=times["3.png"])
    assert newest(library.search(), "boat", wanted=wanted) == ["2.png", "1.png"]
    assert sorted(best(library.search(), "boat", wanted=wanted)) == ["1.png", "2.png"]


def test_only_what_is_under_a_prefix(library: Library, where: str) -> None:
    for key in ("a/1.png", "a/2.png", "b/1.png", "a%/_.png"):
        library.describe(key, "a boat")
    if where != "fresh":
        make_snapshot(library)
    wanted = Range(prefix=f"s3://{BUCKET}/a/")
    assert newest(library.search(), "boat", wanted=wanted) == ["a/2.png", "a/1.png"]
    assert sorted(best(library.search(), "boat", wanted=wanted)) == ["a/1.png", "a/2.png"]


def test_only_what_has_a_label_and_each_page_is_full(library: Library, where: str) -> None:
    for number in range(12):
        library.describe(f"{number}.png", "a boat", *(["rare"] if number % 3 == 0 else []), "sea")
        if where == "both" and number == 5:
            make_snapshot(library)
    if where == "snapshot":
        make_snapshot(library)
    library.dynamodb.delete_item(TableName=library.table, Key={"image": {"S": f"s3://{BUCKET}/6.png"}})
    assert pages_with_label(library, "rare", 2) == [["9.png", "3.png"], ["0.png"]]
    assert pages_of_best_with_label(library, "rare", 2) == [["9.png", "3.png"], ["0.png"]]
    assert pages_with_label(library, "sea", 12) == [[f"{number}.png" for number in range(11, -1, -1) if number != 6]]
    assert pages_with_label(library, "rar", 2) == pages_of_best_with_label(library, "rar", 2) == [[]]


def test_a_rare_label_is_looked_for_no_further_than_a_request_may_look(
    library: Library, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MAX_EXAMINED", 4)
    monkeypatch.setattr(search, "BATCH_GET_LIMIT", 2)
    library.describe("0.png", "a boat", "rare")
    fill(library, where, *["a ship and a boat"] * 9)  # the first of them overwrites it
    library.describe("rare.png", "a boat", "rare")
    fill(library, where, *["a ship and a boat"] * 9)
    assert pages_with_label(library, "rare", 2) == [[], [], ["rare.png"]]
    assert [key for keys in pages_of_best_with_label(library, "rare", 2) for key in keys] == ["rare.png"]


def pages_with_label(library: Library, label: str, limit: int) -> list[list[str]]:
    found, after = [], ""
    while True:
        before = Entry(*cursors.decode(after, int, str)) if after else None  # type: ignore[arg-type]
        page = library.search().newest(parse("boat"), Range(before=before), limit, label)
        found.append([hit.record.key for hit in page.hits])
        if not (after := page.after):
            return found


def pages_of_best_with_label(library: Library, label: str, limit: int) -> list[list[str]]:
    found, skip = [], 0
    while True:
        page = library.search().best(parse("boat"), Range(), limit, skip, label)
        found.append([hit.record.key for hit in page.hits])
        if not page.after:
            return found
        (skip,) = cursors.decode(page.after, int)  # type: ignore[assignment]


def test_the_best_end_with_the_last_that_is_ranked(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MAX_RANKED", 3)
    fill(library, "fresh", *["a boat"] * 5)
    page = library.search().best(parse("boat"), Range(), 2, 2)
    assert ([hit.record.key for hit in page.hits], page.after) == (["2.png"], "")


def test_a_search_that_takes_too_long_ends_with_a_cursor(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagescribe.query.index._FIRST_WINDOW", 2)
    monkeypatch.setattr(search, "SEARCH_SECONDS", -1.0)
    fill(library, "snapshot", "a boat", *["a ship"] * 20)
    found: list[str] = []
    before, rounds = None, 0
    while True:
        page = library.search().newest(parse("boat"), Range(before=before), 10)
        found += [hit.record.key for hit in page.hits]
        rounds += 1
        if not page.after:
            break
        before = Entry(*cursors.decode(page.after, int, str))  # type: ignore[arg-type]
    assert found == ["0.png"]
    assert rounds > 5


# ── The snapshot ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_newer_snapshot_is_taken_while_the_function_runs(library: Library) -> None:
    running = library.search()
    fill(library, "snapshot", "a boat")
    assert newest(running, "boat") == ["0.png"]
    assert running.coverage().is_complete
    library.describe("1.png", "a boat")
    assert running.coverage().fresh == 1
    make_snapshot(library)
    library.clock.sleep(search.SNAPSHOT_CHECK_SECONDS)
    assert newest(running, "boat") == ["1.png", "0.png"]
    coverage = running.coverage()
    assert (coverage.snapshot, coverage.fresh) == (2, 0)


def test_without_a_snapshot_the_last_days_are_searched(library: Library) -> None:
    running = library.search()
    library.describe("0.png", "a boat")
    assert newest(running, "boat") == ["0.png"]
    coverage = running.coverage()
    assert (coverage.snapshot, coverage.fresh, coverage.is_complete) == (0, 1, False)


def test_a_snapshot_that_can_not_be_fetched_leaves_the_one_before(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = library.search()
    fill(library, "snapshot", "a boat")
    newest(running, "boat")

    def down(_path: Path, _etag: str) -> Any:
        raise ClientError({"Error": {"Code": "SlowDown", "Message": "later"}}, "GetObject")

    monkeypatch.setattr(running, "_snapshots", type("Down", (), {"fetch": staticmethod(down)}))
    library.clock.sleep(search.SNAPSHOT_CHECK_SECONDS)
    library.describe("1.png", "a boat")
    assert newest(running, "boat") == ["1.png", "0.png"]
    starting = library.search()
    monkeypatch.setattr(starting, "_snapshots", type("Down", (), {"fetch": staticmethod(down)}))
    with pytest.raises(ClientError):
        newest(starting, "boat")


def test_the_words_are_marked_that_an_image_was_found_by(library: Library, where: str) -> None:
    prompt = "Éclairs, boats & a red boat: the Boat’s lighting 🚤 red"
    fill(library, where, prompt)

    def marked(query: str) -> list[str]:
        (hit,) = library.search().newest(parse(query), Range(), 1).hits
        return [prompt[start:end] for start, end in hit.matches]

    assert marked("boat") == ["boats", "boat", "Boat"]
    assert marked('"red boat"') == ["red boat"]
    assert marked("eclair* red") == ["Éclairs", "red", "red"]
    assert marked("lighti* -zebra") == ["lighting"]
    assert marked('"red boat" boat OR red') == ["boats", "red boat", "Boat", "red"]


def test_of_many_beginnings_each_stands_for_few_words(
    library: Library, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MAX_WORDS_OF_PREFIXES", 8)
    fill(library, where, *[f"boat{number}" for number in range(10)], "boat1 only")
    assert len(newest(library.search(), "bo*")) == 9  # of boat1 there are two
    assert len(newest(library.search(), "bo* boat*")) == 5
    assert best(library.search(), "only OR zebra bo*") == ["10.png"]
