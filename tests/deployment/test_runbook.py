"""The runbook, followed to the letter: every alert fires, and what its section says resolves it."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.deployment import runbook, sample
from tests.deployment.alarms import alerts, runbook_of
from tests.deployment.rehearsals import REHEARSALS
from tests.deployment.troubled import Deployment, troubled

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    base = sample.ROOT / ".demo"
    base.mkdir(exist_ok=True)
    with (
        TemporaryDirectory(dir=base, prefix="runbook-") as folder,
        troubled(Path(folder)) as running,
    ):
        yield running


def test_every_alert_has_its_section_and_its_rehearsal_and_there_are_no_others():
    assert sorted(runbook.sections()) == sorted(alerts())
    assert sorted(REHEARSALS) == sorted(alerts())
    for alert in alerts():
        assert runbook_of(alert) == f"{runbook.PAGE}#{alert.lower()}"


@pytest.mark.parametrize("alert", alerts())
def test_the_section_of_an_alert_mends_it_and_nothing_is_lost(alert: str, deployment: Deployment):
    deployment.until_resolved(alert)
    REHEARSALS[alert](deployment)
    deployment.until_resolved(alert)
    deployment.everybody_is_told()
    assert deployment.commands.all_up(), deployment.commands.logs()
