"""The commands, their options and their help. What carries them out is imported when one is run."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

import click

from ._output import Status, finish, say

F = TypeVar("F", bound=Callable[..., Any])

LARGEST_ID = 2**63 - 1  # int64 in the contract
LONGEST_TIMEOUT = 1_000_000

_KEY = """\
The API key comes from the environment variable YANDEX_MARKET_API_KEY or from --api-key-file, never from an argument:
every user of the machine could read it. To share Market's limits with other programs of the same business, set
YANDEX_MARKET_SHARED_LIMITS to a path or redis://host."""


def _id(value: str) -> int:
    """Read a whole number as the API has them: Python's own reading of numbers takes more."""
    number = int(value) if re.fullmatch("[0-9]{1,19}", value) else 0
    if not 1 <= number <= LARGEST_ID:
        raise click.BadParameter(f"{value!r} is no id: a whole number from 1 to {LARGEST_ID}.")
    return number


def _moment(value: str) -> datetime:
    """Read a moment as ISO 8601 has it, with its zone."""
    with suppress(ValueError):
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None:
            return moment
    raise click.BadParameter(f"{value!r} is no moment with a time zone, such as 2026-07-10T12:00:00+03:00.")


def _sending(command: F) -> F:
    """Add the options of the commands that send."""
    options = (
        click.option("--dry-run", is_flag=True, help="Check everything that can be checked without sending."),
        click.option("--no-confirm", is_flag=True, help="Do not read the chat's history after an unknown outcome."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _common(command: F) -> F:
    """Add the options that all commands have."""
    options = (
        click.option(
            "--api-key-file",
            metavar="FILE",
            type=click.Path(),
            help="A file that holds the API key and nothing else. Default: the variable YANDEX_MARKET_API_KEY.",
        ),
        click.option(
            "--base-url",
            metavar="URL",
            help="The server. Default: the variable YANDEX_MARKET_BASE_URL, else https://api.partner.market.yandex.ru."
            " Sellers of Market Yandex Go use https://api.partner.market.yandex.net.",
        ),
        click.option(
            "--timeout",
            metavar="SECONDS",
            type=click.FloatRange(min=0, min_open=True, max=LONGEST_TIMEOUT),
            help="Time limit for one file, including all attempts, pauses, and reading the history. Default: 120.",
        ),
        click.option(
            "--json", "as_json", is_flag=True, help="Print one JSON object on standard output, in every case."
        ),
        click.option("-v", "--verbose", is_flag=True, help="Show the log on standard error."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Unofficial: not made, endorsed or supported by Yandex.",
)
@click.version_option(package_name="yandex-market-chat", message="%(prog)s %(version)s")
def command() -> None:
    """Send files into chats with buyers on Yandex Market, and always know what happened to them."""


@command.command(
    epilog=f"""\
{_KEY}

\b
Exit status:
  0  sent
  2  wrong use: refused here, before anything went out (an option, the file, the key)
  3  not sent, and the same command may succeed later: a limit, the network
  4  unknown: check the chat before resending (confirm looks for the file in it); with --idempotency-key also if
     the ledger cannot be used, or another command is sending with the key
  6  not sent, and something has to be fixed first: the key, the ids, the proxy

After an unknown outcome the chat's history is read for up to 20 seconds: if the file is there, it was sent. With
--order-id the order's chat is opened first; chats of returns cannot be opened. With --idempotency-key you may run the
same command as often as you like, also after 3 and 4: the file is sent at most once.

\b
Examples:
  yandex-market-chat send invoice.pdf --business-id 123 --chat-id 456
  yandex-market-chat send invoice.pdf --business-id 123 --order-id 789
  make-invoice | yandex-market-chat send - --name invoice.pdf --business-id 123 --chat-id 456
  yandex-market-chat send invoice.pdf --business-id 123 --order-id 789 --idempotency-key invoice-4711 \\
      --ledger /var/lib/shop/sent.sqlite
  yandex-market-chat send invoice.pdf --business-id 123 --chat-id 456 --dry-run --json
"""
)
@click.argument("file", type=click.Path())
@click.option("--business-id", required=True, metavar="ID", type=_id, help="The business (cabinet), not a campaign.")
@click.option("--chat-id", metavar="ID", type=_id, help="The chat. Either this or --order-id.")
@click.option("--order-id", metavar="ID", type=_id, help="The order; its chat is opened if needed.")
@click.option("--name", help="The file name that the buyer sees. Default: that of the file; needed with -.")
@click.option("--content-type", metavar="TYPE", help="Such as application/pdf. Default: by the extension of the name.")
@click.option("--idempotency-key", metavar="KEY", help="Your id for this send, unique per business.")
@click.option(
    "--ledger",
    metavar="PATH|URL",
    help="Where keys are remembered: a path, or postgresql://user@host/database (its password: PGPASSWORD or ~/.pgpass,"
    " never here). Default: the variable YANDEX_MARKET_LEDGER.",
)
@_sending
@_common
def send(**options: Any) -> int:
    """Send one FILE, 1 byte to 5 MiB; - is standard input."""
    if (options["chat_id"] is None) == (options["order_id"] is None):
        raise click.UsageError("Pass either --chat-id or --order-id.")
    if options["ledger"] is not None and options["idempotency_key"] is None:
        raise click.UsageError("A ledger is of no use without a key: pass --idempotency-key.")
    if options["idempotency_key"] is not None and not (options["ledger"] or os.environ.get("YANDEX_MARKET_LEDGER")):
        raise click.UsageError("An idempotency key needs a ledger: pass --ledger, or set YANDEX_MARKET_LEDGER.")
    if options["file"] == "-" and not options["name"]:
        raise click.UsageError("Standard input has no name: pass --name.")
    from ._send import send_one

    return send_one(**options)


@command.command(
    epilog=f"""\
A send that ended unknown prints this command, ready to run. "Found" means that the shop's side has posted a file of
this name and size since then, perhaps more than once. "Not seen" proves nothing: a message may appear late, or under
another name.

{_KEY}

\b
Exit status:
  0  found: the file was sent
  2  wrong use: refused here, and nothing was read
  4  still unknown: not seen, or the history could not be read

\b
Example:
  yandex-market-chat confirm --business-id 123 --chat-id 456 --name invoice.pdf --size 8192 \\
      --since 2026-07-10T12:00:00+03:00
"""
)
@click.option("--business-id", required=True, metavar="ID", type=_id, help="The business (cabinet), not a campaign.")
@click.option("--chat-id", required=True, metavar="ID", type=_id, help="The chat.")
@click.option("--name", required=True, help="The file name that was sent.")
@click.option("--size", required=True, metavar="BYTES", type=click.IntRange(1, LARGEST_ID), help="The file's size.")
@click.option("--since", required=True, metavar="TIME", type=_moment, help="When the send began: ISO 8601, with zone.")
@_common
def confirm(**options: Any) -> int:
    """Read the chat's history for a file whose delivery is unknown; nothing is sent."""
    if not options["name"]:
        raise click.UsageError("The name of a file that was sent is never empty: pass --name.")
    from ._confirm import confirm_one

    return confirm_one(**options)


@command.command(
    epilog=f"""\
MANIFEST is CSV with a header (comma or semicolon), or JSON Lines, in UTF-8:

\b
  business_id,chat_id,file              {{"business_id": 123, "chat_id": 456, "file": "a.pdf"}}
  123,456,invoices/456.pdf              {{"business_id": 123, "chat_id": 457, "file": "b.pdf"}}

A line may have order_id instead of chat_id: the order's chat is opened when needed, and remembered.

Paths are relative to the folder of the manifest. Optional columns: name and content_type, as for send; key, your id of
the item (default: business, chat or order, and path). The whole manifest is checked before anything is sent. The same
content goes to the same chat once, in whichever run and from whichever path, unless both lines have keys of their own.
From Excel, save as "CSV UTF-8". A report can be the next manifest.

RUN.sqlite is the journal: each item is recorded before its connection opens, and again when it ends. After a crash, a
restart or a signal, run the same command again: it goes on where it stopped. A changed manifest is merged by key. What
was in flight when the process was killed is unknown, and is not sent again unless you say so. At the start and at the
end the history is read for unknown items: those it shows were sent (--no-confirm: it is not read). Keep the journal
until the mailing is done: without it everything is sent again.

A business whose hourly quota is spent pauses until the quota is renewed; others go on. After 5 refusals in a row for
the key (401, 403), or 3 hours of nothing but 420, a business is skipped for the rest of the run. What would stop every
other item too ends the run and leaves the items pending: no connection, a refused certificate, a proxy that says no, a
response that is not Market's, 10 unknown outcomes in a row. On SIGINT, SIGTERM or SIGHUP, requests in flight finish
and the rest waits for the next start; a second SIGINT or SIGTERM ends at once.

{_KEY}

\b
Exit status:
  0  all sent
  2  wrong use, a faulty manifest, or a journal that is in use or cannot be used: nothing was sent
  3  some not sent, which may succeed later (again with --retry-not-sent)
  4  some unknown, perhaps some not sent too (check the chats, or again with --resend-unknown)
  5  stopped before the end: a signal, a full disk, Market out of reach, a business that was skipped; run it again
  6  some not sent, and something has to be fixed first (then again with --retry-not-sent)

\b
Examples:
  yandex-market-chat send-batch mailing.csv --journal mailing.sqlite --dry-run
  yandex-market-chat send-batch mailing.csv --journal mailing.sqlite --report mailing-report.csv
  yandex-market-chat send-batch mailing.csv --journal mailing.sqlite --retry-not-sent --json
"""
)
@click.argument("manifest", type=click.Path())
@click.option("--journal", required=True, metavar="RUN.sqlite", type=click.Path(), help="Created if missing.")
@click.option(
    "--parallel",
    metavar="N",
    type=click.IntRange(1, 100),
    default=4,
    help="Requests at once and per business. Default: 4, what Market allows over all programs of the cabinet.",
)
@click.option("--resend-unknown", is_flag=True, help="Resend what is unknown: buyers may get it twice.")
@click.option("--retry-not-sent", is_flag=True, help="Send files again that were not sent.")
@click.option(
    "--report",
    metavar="FILE",
    type=click.Path(),
    help="Write a CSV with the outcome of each line; Excel opens it directly.",
)
@_sending
@_common
def send_batch(**options: Any) -> int:
    """Send the files of a MANIFEST, each once, across restarts."""
    from ._send_batch import send_many

    return send_many(**options)


def run(arguments: Sequence[str]) -> int:
    """Carry out the command and return its exit status; with --json there is one JSON object, whatever happens."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by whoever started us; a connection must not take its number
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal cannot show must not cost the line.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # TextIO lacks what stdout has
    # httpx imports its own command, with rich and a highlighter, wherever it can: 0.2 s that nobody needs here.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # what stops an import is None
    as_json = any(argument.partition("=")[0] == "--json" for argument in arguments)
    status: int
    try:
        status = command.main(list(arguments), prog_name="yandex-market-chat", standalone_mode=False) or 0
    except click.ClickException as error:
        with suppress(OSError):  # nobody listens
            error.show()
        status = finish(Status.WRONG_USE, as_json, {"error": "UsageError", "message": error.format_message()})
    except click.Abort:
        # What is interrupted later is told by the commands themselves.
        status = {"send-batch": Status.STOPPED, "confirm": Status.UNKNOWN}.get(arguments[0], Status.NOT_SENT)
        sentence = "Interrupted; nothing was sent."
        say(sentence)
        finish(Status(status), as_json, {"error": "KeyboardInterrupt", "message": sentence})
    except Exception as error:  # a defect of ours: nobody can know how far it came, but the journal does
        import traceback

        say(traceback.format_exc())
        status = Status.STOPPED if "send-batch" in arguments[:1] else Status.UNKNOWN
        finish(status, as_json, {"error": type(error).__name__, "message": "This is a defect of the command itself."})
    return int(status)
