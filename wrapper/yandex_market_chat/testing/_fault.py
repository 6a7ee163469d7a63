"""What can go wrong with a connection, as data. Carrying it out is the business of `_connection`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

Cut = Literal["drop", "reset", "silence"]
At = Literal["before-body", "in-body", "after-body", "in-answer", "after-answer"]
Early = Literal["lingering", "abrupt"]

_CHOICES: Final = {"cut": get_args(Cut), "at": get_args(At), "early": get_args(Early)}
_COUNTED: Final = ("in-body", "in-answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way in which the network fails, or several together.

    Args:
        cut: how the connection ends: `drop` sends FIN and reads on into nothing, `reset` sends RST, `silence` does
            nothing more. It goes with `at`.
        at: where it ends: `before-body` is after the head of the request, `in-body`, `after-body` before the first byte
            of the answer, `in-answer`; `after-answer` breaks a promise to keep it open.
        after: for `in-body` and `in-answer`: after how many bytes of the body, or of the whole answer.
        early: answer before the body is read, then end the connection: `lingering` reads the rest of the request into
            nothing first, `abrupt` resets. For an Answer's fault only.
        read_delay: seconds before the body is read. The kernels of both sides take some megabytes anyway.
        read_pause: seconds between two reads of the body, each of at most 64 KiB.
        delay: seconds before the first byte of the answer.
        drip: seconds between two bytes of the answer.
        taken: the request is carried out although its answer is lost: the file is in its chat, a chat is opened. It
            takes a whole body, so it does not go with a cut before or in the body, nor with an early answer.
        hold: seconds after which a silent or dropped connection is ended for good; clients wait for less by default.
            Stopping the server ends it too.
        description: one line for people.
    """

    cut: Cut | None = None
    at: At | None = None
    after: int = 0
    early: Early | None = None
    read_delay: float = 0.0
    read_pause: float = 0.0
    delay: float = 0.0
    drip: float = 0.0
    taken: bool = False
    hold: float = 300.0
    description: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise ValueError(f"{name} is one of {', '.join(choices)}, not {value!r}")
        for name in ("read_delay", "read_pause", "delay", "drip", "hold"):
            seconds = getattr(self, name)
            if isinstance(seconds, bool) or not isinstance(seconds, int | float):
                raise ValueError(f"{name} is a number of seconds, not {seconds!r}")
            if not 0 <= seconds < math.inf:
                raise ValueError(f"{name} is a number of seconds, 0 or more, not {seconds!r}")
        if isinstance(self.after, bool) or not isinstance(self.after, int) or self.after < 0:
            raise ValueError(f"after is a number of bytes, 0 or more, not {self.after!r}")
        if (self.cut is None) != (self.at is None):
            raise ValueError("cut and at belong together: one says how the connection ends, the other where")
        if self.after and self.at not in _COUNTED:
            raise ValueError("after counts bytes in-body or in-answer")
        if not isinstance(self.taken, bool):
            raise ValueError(f"taken is True or False, not {self.taken!r}")
        if self.taken and not self.reads_body:
            raise ValueError(
                "what was taken has been read: taken goes with no cut before-body or in-body, nor with early"
            )
        if self.early is not None and self.at is not None and self.at != "in-answer":
            raise ValueError("an early answer ends the connection itself: of the cuts only in-answer goes with it")

    @property
    def reads_body(self) -> bool:
        """Whether the whole body is read."""
        return self.early is None and self.at not in ("before-body", "in-body")


NO_FAULT: Final = Fault()
