"""A claim on a batch that is kept alive as long as work on it goes on."""

from time import monotonic

from doh import conf
from doh.journal import Journal, Ring


class Lease:
    """The time that a claim leaves us.

    ``since`` is when it was asked for, ``starts_until`` when the last POST may start, in seconds of
    the monotonic clock: whatever starts by then is over before the claim is.
    """

    def __init__(self, journal: Journal, ring: Ring, since: float) -> None:
        self._journal = journal
        self._ring = ring
        self._count_from(since)

    def keep(self) -> bool:
        """Prolong the claim once a third of it is used up; False if it is somebody else's now."""
        now = monotonic()
        if now < self._renew_at:
            return True
        if not self._journal.renew(self._ring, conf.lease()):
            return False
        self._count_from(now)
        return True

    def _count_from(self, moment: float) -> None:
        self._renew_at = moment + conf.lease() / 3
        self.starts_until = moment + conf.sending_window()
