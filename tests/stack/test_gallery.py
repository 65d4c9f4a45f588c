"""The gallery of a deployed stack, opened in a browser: what someone remembers is found, shown and described again."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from imagescribe_ops.gallery.server import RunningGallery
from imagescribe_ops.operations import Operations
from imagescribe_ops.simulator import ScriptedAnswer
from tests import chromium
from tests.chromium import Visits
from tests.stack.deployment import Deployment
from tests.stack.pictures import picture


@pytest.fixture
def visits() -> Iterator[Visits]:
    chromium.needed()
    with chromium.launched() as browser:
        visits = Visits(browser)
        yield visits
        visits.close()


def test_who_remembers_a_red_boat_at_dusk_has_it_on_the_screen_and_has_it_described_again(
    stack: Deployment, visits: Visits
) -> None:
    key, prompt = "remembered/IMG_0417.png", "A crimson canoe at dusk, on a calm lake"
    stack.script(key, ScriptedAnswer(body=json.dumps([prompt])))
    stack.put(key, picture(), tags="project=lake")
    stack.until_described(key)
    with RunningGallery(Operations.of_stack(stack.stack.connection, stack.stack.name)) as gallery:
        page = visits.visit(gallery.url)
        page.get_by_role("searchbox").fill("canoe dusk")
        page.locator(".card", has_text=key).click()
        page.wait_for_function("() => document.getElementById('picture').naturalWidth > 0")
        page.get_by_text("project lake").wait_for()
        page.get_by_role("button", name="Describe again…").click()
        page.get_by_role("button", name="Describe again", exact=True).click()
        page.get_by_text("It is described again.").wait_for(timeout=90_000)
        assert page.locator("#prompt").inner_text().startswith("Simulated description")
    assert stack.billed(key) == 2
