"""A name server under the tests' control, on the port where libc asks."""

import socket
import threading
from collections import Counter
from contextlib import suppress

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

ADDRESS_TYPES = {dns.rdatatype.A: ".", dns.rdatatype.AAAA: ":"}


class NameServer:
    """Answers for the names in ``zone``; a name that starts with ``hang`` gets no answer at all.

    A name has a list of answers, which are given one after the other, the last one for good. An
    answer is a list of addresses, or of the name that it is an alias of.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 53) -> None:
        self.zone: dict[str, list[list[str]]] = {}
        self._asked: Counter[tuple[str, int]] = Counter()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self) -> None:
        """Answer no more."""
        self._socket.close()

    def forget(self) -> None:
        """Know no name."""
        self.zone.clear()
        self._asked.clear()

    def asked(self, name: str) -> int:
        """How often a name's address was asked for."""
        return self._asked[name, dns.rdatatype.A]

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                wire, client = self._socket.recvfrom(4096)
                answer = self._answer(dns.message.from_wire(wire))
                if answer is not None:
                    self._socket.sendto(answer.to_wire(), client)

    def _answer(self, query: dns.message.Message) -> dns.message.Message | None:
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        if name.startswith("hang"):
            return None
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA | dns.flags.RA
        if name not in self.zone:
            answer.set_rcode(dns.rcode.NXDOMAIN)
            return answer
        self._fill(answer, name, question.rdtype)
        return answer

    def _fill(self, answer: dns.message.Message, name: str, kind: int) -> None:
        mark = ADDRESS_TYPES.get(kind)  # type: ignore[call-overload]
        if mark is None:
            return
        answers = self.zone[name]
        found = answers[min(self._asked[name, kind], len(answers) - 1)]
        self._asked[name, kind] += 1
        if found[0] in self.zone:
            answer.answer.append(dns.rrset.from_text(f"{name}.", 0, "IN", "CNAME", f"{found[0]}."))
            self._fill(answer, found[0], kind)
            return
        fitting = [one for one in found if mark in one and (mark == ":" or ":" not in one)]
        if fitting:
            text = "A" if mark == "." else "AAAA"
            answer.answer.append(dns.rrset.from_text(f"{name}.", 0, "IN", text, *fitting))
