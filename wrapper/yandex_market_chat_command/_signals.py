"""The signals that ask a command to end."""

import signal

HANGUP: int | None = getattr(signal, "SIGHUP", None)
"""The terminal or the ssh session is gone; None: a system without it."""


def ending_signals() -> list[int]:
    """Return those that end this process: a hangup does, unless it was ignored when the process started (nohup)."""
    ends = [signal.SIGINT, signal.SIGTERM]
    return [*ends, HANGUP] if HANGUP is not None and signal.getsignal(HANGUP) is not signal.SIG_IGN else [*ends]


def interrupt_once() -> None:
    """Let the first of them raise KeyboardInterrupt, and no other: what it leads to is not interrupted again."""
    interrupted = False

    def on_signal(number: int, frame: object) -> None:
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            raise KeyboardInterrupt

    for number in ending_signals():
        signal.signal(number, on_signal)


def ignore_signals() -> None:
    """Let nothing interrupt what is told at the end."""
    for number in ending_signals():
        signal.signal(number, signal.SIG_IGN)
