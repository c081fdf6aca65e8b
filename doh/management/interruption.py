"""Ctrl-C and SIGTERM as a question that a command asks between two steps."""

import select
import signal
import socket
import threading
from types import FrameType, TracebackType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Within ``with``, true once one of the two signals came; a second one ends the process.

    An exception out of a handler would come anywhere, amid a COMMIT too, after which nobody knows
    what the connection is doing. So the first signal ends nothing but a pause.
    """

    def __init__(self) -> None:
        self._asked = False

    def __enter__(self) -> "Interruption":
        self._ear, self._mouth = socket.socketpair()
        # Only a main thread may set handlers; whoever calls a command elsewhere has his own.
        mine = threading.current_thread() is threading.main_thread()
        self._before = {one: signal.signal(one, self._ask) for one in _SIGNALS if mine}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._restore()
        self._ear.close()
        self._mouth.close()

    def __call__(self) -> bool:
        """Whether somebody wants an end."""
        return self._asked

    def pause(self, seconds: float) -> None:
        """Sleep so long, or until a signal comes: nobody takes from the socket what it says."""
        select.select([self._ear], [], [], seconds)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True
        self._restore()
        self._mouth.send(b"!")

    def _restore(self) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)
        self._before = {}
