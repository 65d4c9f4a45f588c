"""Objects with awkward keys are described, whichever shape their event comes in.

Not here: a line break in a key. The emulator matches a policy's resources with a pattern whose `*` ends at a line
break, so it denies such an object to the function; AWS has no such rule.
"""

from itertools import batched

import pytest

from tests.stack import bodies
from tests.stack.bodies import Uploaded
from tests.stack.deployment import Deployment
from tests.stack.pictures import picture

KEYS = {
    "space": "a b.png",
    "spaces-at-both-ends": " a.png ",
    "plus": "a+b.png",
    "space-and-plus": "holiday photos/a + b.png",
    "percent": "100%.png",
    "looks-encoded": "a%20b%2Fc+d.png",
    "accents": "café/crème brûlée.png",
    "decomposed-accent": "cafe\u0301.png",
    "emoji": "🎉/🖼️.png",
    "other-scripts": "日本語/Ελλάδα/שלום.png",
    "apostrophe": "it's.png",
    "quotes": '"quoted".png',
    "ampersand": "a&b=c&d.png",
    "hash": "#1 #2.png",
    "question-mark": "?a=1.png",
    "looks-like-a-url": "https://example.com/a.png?b=c#d",
    "looks-signed": "a.png?X-Amz-Expires=1&versionId=null",
    "markup": "<b>&lt;a&gt;.png",
    "braces": "{a}[b]|^`~.png",
    "signs": "!$'(),*;:@=.png",
    "backslash": "a\\b.png",
    "tab": "a\tb.png",
    "control-characters": "\x01\x1f\x7f.png",
    "beyond-controls": "\u0085\u00a0\u200b\u202e.png",
    "ends-of-unicode": "\ue000\ufffd\U0010ffff.png",
    "leading-slash": "/leading.png",
    "double-slashes": "//two//slashes//.png",
    "dot-segments": "a/./b/../c.png",
    "dots-in-front": "../../up.png",
    "dots-only": "..",
    "one-dot": ".",
    "ends-with-a-slash": "not-empty/",
    "no-suffix": "plain",
    "1024-letters": "k" * 1024,
    "1024-bytes-of-accents": "é" * 512,
    "1024-percents": "%" * 1024,
}


@pytest.fixture(scope="module")
def uploaded(stack: Deployment) -> dict[str, Uploaded]:
    return {key: stack.put(key, picture()) for key in KEYS.values()}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_an_awkward_key_is_described_under_its_own_name(
    stack: Deployment, uploaded: dict[str, Uploaded], key: str
) -> None:
    record = stack.until_described(key)[key]
    assert (record["image"], record["key"]) == (uploaded[key].image, key)
    assert record["etag"] == uploaded[key].etag
    assert stack.tags(key)["prompt"].startswith("Simulated description")


def test_an_awkward_key_is_paid_for_once(stack: Deployment, uploaded: dict[str, Uploaded]) -> None:
    stack.until_described(*uploaded)
    contents = [call.md5 for call in stack.simulator.journal() if call.billed]
    assert {key: contents.count(upload.etag) for key, upload in uploaded.items()} == dict.fromkeys(uploaded, 1)


def test_awkward_keys_are_read_right_where_they_are_form_encoded(by_hand: Deployment) -> None:
    one = picture()  # paid for under the first key and written to each one's own record
    first, *others = [by_hand.put(key, one) for key in KEYS.values()]
    by_hand.send(bodies.s3_notification(first))
    by_hand.until_described(first.key)
    for some in batched(others, 5):
        by_hand.send(bodies.sns(bodies.s3_notification(*some)))
    records = by_hand.until_described(*KEYS.values())
    assert {record["key"] for record in records.values()} == set(KEYS.values())
    assert by_hand.billed(*KEYS.values()) == 1
