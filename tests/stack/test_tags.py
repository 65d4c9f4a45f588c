"""The prompt on the object: among its other tags, cut to what S3 takes, or the reason why not."""

import re

from imagescribe_ops.simulator import BodyKind, ScriptedAnswer
from tests.stack.deployment import Deployment
from tests.stack.pictures import picture

OTHERS = "&".join(f"tag{number}=value {number}" for number in range(10))


def test_the_objects_other_tags_are_kept(stack: Deployment) -> None:
    key = "tags/kept.png"
    stack.put(key, picture(), "album=holiday&owner=Ann+%2B+Bob&prompt=by+hand")
    record = stack.until_described(key)[key]
    tags = stack.tags(key)
    assert record["tags"] == "written"
    assert tags.pop("prompt").startswith("Simulated description")
    assert tags == {"album": "holiday", "owner": "Ann + Bob"}


def test_a_full_tag_set_keeps_the_users_tags(stack: Deployment) -> None:
    key = "tags/full.png"
    stack.put(key, picture(), OTHERS)
    before = stack.tags(key)
    record = stack.until_described(key)[key]
    assert record["tags"] == "full"
    assert record["prompt"].startswith("Simulated description")
    assert stack.tags(key) == before


def test_a_full_tag_set_with_our_tag_in_it_takes_the_prompt(stack: Deployment) -> None:
    key = "tags/full-with-ours.png"
    stack.put(key, picture(), OTHERS.replace("tag0=", "prompt="))
    assert stack.until_described(key)[key]["tags"] == "written"
    tags = stack.tags(key)
    assert len(tags) == 10
    assert tags["prompt"].startswith("Simulated description")


def test_where_tags_may_not_be_written_the_prompt_is_safe(stack: Deployment) -> None:
    key = "tags/denied.png"
    with stack.without("WriteTheirTags", "s3:PutObjectTagging"):
        stack.put(key, picture(), "album=holiday")
        record = stack.until_described(key)[key]
    assert record["tags"] == "denied"
    assert record["prompt"].startswith("Simulated description")
    assert stack.tags(key) == {"album": "holiday"}
    assert stack.dead_letters_of(key) == []


def test_where_tags_may_not_be_read_they_are_not_overwritten(stack: Deployment) -> None:
    key = "tags/unreadable.png"
    with stack.without("WriteTheirTags", "s3:GetObjectTagging"):
        stack.put(key, picture(), "album=holiday")
        assert stack.until_described(key)[key]["tags"] == "denied"
    assert stack.tags(key) == {"album": "holiday"}


def test_a_prompt_of_20000_characters_is_whole_in_the_catalog_and_cut_at_a_word_in_the_tag(stack: Deployment) -> None:
    key = "tags/long.png"
    stack.script(key, ScriptedAnswer(body_kind=BodyKind.LONG_PROMPT))
    stack.put(key, picture())
    prompt = stack.until_described(key)[key]["prompt"]
    tag = stack.tags(key)["prompt"]
    assert len(prompt) == 20_000
    assert 200 < len(tag) <= 256
    words = re.sub(r"[^\w.:/=+@-]", " ", prompt.replace("'", "")).split()
    assert tag.split() == words[: len(tag.split())]


def test_a_prompt_of_punctuation_is_whole_in_the_catalog_and_leaves_an_empty_tag(stack: Deployment) -> None:
    key = "tags/punctuation.png"
    stack.script(key, ScriptedAnswer(body_kind=BodyKind.PUNCTUATION))
    stack.put(key, picture())
    record = stack.until_described(key)[key]
    assert "&%#*" in record["prompt"]
    assert record["tags"] == "written"
    # The emulator takes any value; S3 takes no punctuation but these signs.
    assert set(stack.tags(key)["prompt"]) <= set(" _.:/=+-@")
