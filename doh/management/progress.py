"""Show on standard error how far a command is."""

import sys
from typing import Final, TextIO

_WIDTH: Final = 30


class Progress:
    """A bar on a terminal; elsewhere a line for every tenth."""

    def __init__(self, label: str, total: int, stream: TextIO | None = None) -> None:
        self._label = label
        self._total = total
        self._stream = stream or sys.stderr
        self._done = 0
        self._tenth = -1

    def advance(self, number: int) -> None:
        """So many more are done."""
        self._done += number
        share = min(1.0, self._done / self._total) if self._total else 1.0
        if self._stream.isatty():
            bar = "#" * round(share * _WIDTH)
            self._stream.write(f"\r{self._label} [{bar:<{_WIDTH}}] {self._done}/{self._total}")
        elif int(share * 10) > self._tenth:
            self._tenth = int(share * 10)
            self._stream.write(f"{self._label}: {self._done}/{self._total} ({share:.0%})\n")
        self._stream.flush()

    def end(self) -> None:
        """Leave the bar standing."""
        if self._stream.isatty():
            self._stream.write("\n")
