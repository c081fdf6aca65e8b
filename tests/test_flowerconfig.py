"""deploy/flower/flowerconfig.py, as Flower reads it."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
from flower.urls import handlers
from flower.views.monitor import Metrics

CONFIG = Path(__file__).parent.parent / "deploy" / "flower" / "flowerconfig.py"


@pytest.fixture
def configure(monkeypatch):
    """Read the configuration under some environment; Flower's routes are put back afterwards."""
    before = list(handlers)
    for name in ("BASIC_AUTH", "BASIC_AUTH_FILE", "AUTH", "READ_ONLY", "ENABLE_EVENTS"):
        monkeypatch.delenv(f"FLOWER_{name}", raising=False)

    def read(**environment):
        handlers[:] = before
        for name, value in environment.items():
            monkeypatch.setenv(f"FLOWER_{name}", str(value))
        return SimpleNamespace(**runpy.run_path(str(CONFIG)))

    yield read
    handlers[:] = before


def routes():
    return [handler for handler in handlers if isinstance(handler, tuple)]


def has_api():
    return any(route[0].startswith("/api/") for route in routes())


def test_without_a_login_flower_does_not_start(configure):
    with pytest.raises(SystemExit, match="FLOWER_BASIC_AUTH_FILE"):
        configure()


def test_a_login_without_a_password_is_refused_and_not_repeated(configure):
    with pytest.raises(SystemExit, match="name:password") as refused:
        configure(BASIC_AUTH="ada:engine,grace")
    assert "grace" not in str(refused.value)


def test_logins_come_from_a_file(configure, tmp_path):
    (tmp_path / "logins").write_text("ada:engine\n\ngrace:compiler\n")
    found = configure(BASIC_AUTH_FILE=tmp_path / "logins", BASIC_AUTH="eve:apple")
    assert found.basic_auth == ["ada:engine", "grace:compiler"]


def test_mail_addresses_will_do_for_a_login(configure):
    assert configure(AUTH=r".*@example\.com").basic_auth == []


def test_it_looks_and_does_not_touch_unless_told(configure):
    found = configure(BASIC_AUTH="ada:engine")
    assert (found.read_only, found.enable_events, has_api()) == (True, False, False)
    found = configure(READ_ONLY=0, ENABLE_EVENTS=1)
    assert (found.read_only, found.enable_events, has_api()) == (False, True, True)


def test_metrics_take_the_login_too(configure):
    configure(BASIC_AUTH="ada:engine")
    (served,) = [route[1] for route in routes() if route[0] == "/metrics"]
    assert served is not Metrics
    assert issubclass(served, Metrics)


@pytest.mark.parametrize(
    ("name", "args", "shown"),
    [
        ("doh_tasks.element.deliver_batch", "(12, 3)", "batch 12, epoch 3"),
        ("doh_tasks.collection.collect", "()", "()"),
        ("doh_tasks.collection.collect", "('0f3a',)", "()"),
        ("doh_tasks.results.finish", "('0f3a',)", "()"),
        ("doh_tasks.element.post_once", "('k3y',)", "(hidden)"),
        ("shop.tasks.pay", "('4111 1111',)", "(hidden)"),
        ("shop.tasks.pay", None, None),
    ],
)
def test_arguments_are_shown_as_ids_or_not_at_all(configure, name, args, shown):
    task = SimpleNamespace(name=name, args=args, kwargs="{'card': 4111}")
    hidden = configure(BASIC_AUTH="ada:engine").format_task(task)
    assert (hidden.args, hidden.kwargs) == (shown, "(hidden)")
