"""Flower and the Django admin, as somebody in front of a browser sees them."""

import re
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.deployment.served import LOGIN, Served, browser, demo

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with demo() as found:
        yield found


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser() as found:
        yield found


@pytest.mark.parametrize("path", ["", "tasks", "broker", "metrics"])
def test_flower_shows_nothing_without_the_login(served: Served, path):
    url = served.flower + path
    assert requests.get(url, timeout=30).status_code == 401
    assert requests.get(url, auth=("admin", "guess"), timeout=30).status_code == 401
    assert requests.get(url, auth=LOGIN, timeout=30).status_code == 200


def test_flower_says_that_it_is_well_to_anybody(served: Served):
    assert requests.get(f"{served.flower}healthcheck", timeout=30).text == "OK"


def test_flower_is_for_looking_and_has_no_api_to_touch_with(served: Served):
    for path in ("worker/shutdown/element", "task/revoke/1", "task/send-task/doh_tasks.x"):
        answer = requests.post(f"{served.flower}api/{path}", auth=LOGIN, timeout=30)
        assert answer.status_code == 404
    assert requests.get(f"{served.flower}api/tasks", auth=LOGIN, timeout=30).status_code == 404


def test_flower_shows_the_workers_of_a_real_run(served: Served, page: Page, pictures: Path):
    page.goto(served.flower)
    table = page.locator("#workers-table tbody")
    for worker in ("collection@", "element1@", "element2@"):
        row = table.locator("tr", has_text=worker)
        expect(row).to_contain_text("Online")
        row.locator("a", has_text=worker).wait_for()
    page.screenshot(path=pictures / "flower-workers.png")


def test_a_worker_has_its_page_without_buttons(served: Served, page: Page):
    page.goto(served.flower)
    page.locator("#workers-table a", has_text="element1@").click()
    page.get_by_text("Queues", exact=True).first.click()
    page.get_by_text("doh.element").first.wait_for()
    assert page.locator("button", has_text="Shut Down").count() == 0
    assert page.get_by_text("Add Consumer").count() == 0


def test_a_bus_saved_in_the_admin_is_delivered(served: Served, page: Page, pictures: Path):
    name, password = LOGIN
    page.goto(served.admin)
    page.fill("#id_username", name)
    page.fill("#id_password", password)
    page.click("input[type=submit]")
    page.fill("#id_speed", "77.5")
    page.click("input[name=_continue]")
    page.get_by_text("was changed successfully").wait_for()
    root = served.admin.split("vehicles/")[0]
    _reload_until(page, f"{root}doh/delivery/?event__id__exact=4&status__exact=succeeded", 3)
    page.set_viewport_size({"width": 1560, "height": 720})
    for kind in ("hook", "event", "delivery"):
        page.goto(f"{root}doh/{kind}/")
        page.screenshot(path=pictures / f"admin-{kind}.png")


def test_flower_shows_the_tasks_with_names_states_and_ids(
    served: Served, page: Page, pictures: Path
):
    """After a save that Flower can't have missed: it hears workers later than it answers."""
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto(f"{served.flower}tasks")
    table = page.locator("#tasks-table tbody")
    for task, args in (
        ("doh_tasks.collection.collect", "()"),
        ("doh_tasks.element.deliver_batch", re.compile(r"batch \d+, epoch 0")),
    ):
        page.get_by_role("searchbox").fill(task)
        row = table.locator("tr", has_text=task).filter(has_text=args).first
        expect(row).to_contain_text("SUCCESS")
    page.screenshot(path=pictures / "flower-tasks.png")


def _reload_until(page: Page, url: str, rows: int) -> None:
    """Wait until a list in the admin has so many rows."""
    deadline = monotonic() + 60
    while page.goto(url) and page.locator("#result_list tbody tr").count() < rows:
        assert monotonic() < deadline, page.locator("#content").inner_text()
