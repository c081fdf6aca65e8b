"""Which hosts are not sent to: the workers know, and bring along how to ask."""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from doh.status.broker import import_workers_modules

#: Hosts that are read at most: as many then means that many or more.
LISTED: Final = 1_000


class Circuit(NamedTuple):
    """A host that is not sent to: its circuit is open for so many more seconds, or it asked.

    Both are zero for a circuit that is half open: one probe tells. ``opened_ago`` is None for a
    circuit that is closed: the host only asked for a pause.
    """

    host: str
    open_for: float
    paused_for: float
    opened_ago: float | None

    @property
    def state(self) -> str:
        """One of ``open``, ``paused`` and ``half_open``."""
        if self.open_for > 0:
            return "open"
        return "paused" if self.paused_for > 0 else "half_open"


class Circuits(NamedTuple):
    """Up to `LISTED`, the longest open first; ``error`` says why they could not be read."""

    hosts: tuple[Circuit, ...] = ()
    error: str = ""


#: How to read them; the workers' modules bring it along. None if they can't be asked for.
brought: Final[list[Callable[[], Iterable[Circuit] | None]]] = []


def survey_circuits() -> Circuits:
    """Ask once, for as long as the workers' own limits may take."""
    try:
        import_workers_modules()
    except Exception as error:  # noqa: BLE001 - modules of the project, any fault
        return Circuits(error=f"the workers' modules can't be imported: {type(error).__name__}")
    if not brought:
        return Circuits(error="the Celery app names none of the workers' modules")
    found = brought[-1]()
    if found is None:
        return Circuits(error="their Redis does not answer")
    return Circuits(tuple(sorted(found, key=lambda one: -(one.opened_ago or 0.0))))
