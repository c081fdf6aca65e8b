"""The sockets that libcurl wants watched; warm connections stay watched between their requests."""

from contextlib import suppress
from selectors import EVENT_READ, BaseSelector
from typing import Any

import pycurl


class Sockets:
    """Numbers of sockets with what they are watched for, in a selector.

    libcurl stops the watch of a connection after each answer, and asks for it again with the next
    request. The kernel is asked only when something changes: an idle connection stays watched.
    libcurl may close one meanwhile without a word, and its number may come again with a new
    socket: so `forget` the idle ones before there is one.
    """

    def __init__(self, selector: BaseSelector) -> None:
        self._selector = selector
        self._watched: dict[int, int] = {}
        self._idle: set[int] = set()

    def on_change(self, events: int, fd: int, _multi: Any, _data: Any) -> None:
        """What libcurl calls: watch a socket for some events, or let go of one.

        libcurl and selectors number the events alike.
        """
        watched = self._watched.get(fd)
        if events != pycurl.POLL_REMOVE:
            self._idle.discard(fd)
            if watched != events:
                self._drop(fd)
                self._selector.register(fd, events)
                self._watched[fd] = events
        elif watched == EVENT_READ:
            self._idle.add(fd)
        else:
            self._drop(fd)

    def is_wanted(self, fd: int) -> bool:
        """Whether an event is libcurl's business; an idle socket with one is watched no longer."""
        if fd not in self._idle:
            return True
        self._idle.remove(fd)
        self._drop(fd)
        return False

    def forget(self) -> None:
        """Stop watching what is idle."""
        for fd in self._idle:
            self._drop(fd)
        self._idle.clear()

    def _drop(self, fd: int) -> None:
        if self._watched.pop(fd, None) is not None:
            with suppress(KeyError, ValueError, OSError):  # libcurl may have closed it already.
                self._selector.unregister(fd)
