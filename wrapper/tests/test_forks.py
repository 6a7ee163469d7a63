"""A process that forks: what parent and child may go on with."""

from __future__ import annotations

import gc
import socket
import ssl
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import trustme
from yandex_market_chat._places import Place

from yandex_market_chat import ChatClient
from yandex_market_chat._base_client import _begin_as_child
from yandex_market_chat.testing import MockServer

from .conftest import Chat
from .test_parallel import in_fresh_process


@contextmanager
def tls_server(folder: Path) -> Iterator[tuple[MockServer, str]]:
    """An HTTPS server, and the file of the authority that it is trusted by."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    with MockServer(ssl_context=context) as server:
        yield server, str(folder / "authority.pem")


@contextmanager
def unanswering(*, backlog: int = 0) -> Iterator[str]:
    """The address of a server that never accepts; with a backlog of so many connections, or none."""
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(backlog)
        for _ in range(0 if backlog else 8):
            filler = sockets.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def close(chat: Chat) -> None:
    """Close the client, but not the event loop of the test."""
    if chat.mode == "sync":
        chat.client.close()
    else:
        chat._runner.run(chat.client.aclose())


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is raised where nobody can catch it: warnings are errors, so a ResourceWarning is among it."""
    gc.collect()
    raised: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: raised.append(repr(told.exc_value)))
    return raised


FORKED = """
    import asyncio, gc, os, signal, ssl, sys, threading, time, traceback, warnings
    from yandex_market_chat import AsyncChatClient, ChatClient

    # From Python 3.12 on a fork beside threads is warned of, and forking beside threads is what is tried here.
    warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
    mode, keep_alive, url, key, more = sys.argv[1:]
    arguments = {"api_key": key, "base_url": url, "keep_alive": keep_alive == "True", "max_parallel": 1, "timeout": 5.0}
    arguments |= {"verify": more} if url.startswith("https:") else {}
    client = ChatClient(**arguments) if mode == "sync" else AsyncChatClient(**arguments)

    def fork(child):
        gc.collect()
        number = os.fork()
        if number:
            _, status = os.waitpid(number, 0)
            assert status == 0, "the child failed"
            return
        signal.alarm(8)  # the end of a child that waits for a lock which nobody holds any more
        try:
            child()
            gc.collect()
            status = 0
        except BaseException:
            traceback.print_exc()
            status = 1
        os._exit(status)

    def send(content):
        sending = client.send_file(content, business_id=1, chat_id=2)
        if mode == "async":
            asyncio.run(sending)

    class Gate:
        content = b"held"
        def read(self, size):
            content, self.content = self.content, b""
            if content:
                reached.set()
                opened.wait(10)
            return content

    reached, opened = threading.Event(), threading.Event()
"""


def forked(program: str, mode: str, keep_alive: bool, server: MockServer, more: str) -> None:
    program = textwrap.dedent(FORKED) + textwrap.dedent(program)
    in_fresh_process(program, mode, str(keep_alive), server.base_url, server.api_key, more)


class TestFork:
    @pytest.mark.parametrize("keep_alive", [False, True])
    @pytest.mark.parametrize("tls", [False, True])
    def test_a_forked_child_opens_its_own_connection_and_the_parent_goes_on(
        self, mode: str, keep_alive: bool, tls: bool, tmp_path: Path
    ) -> None:
        program = """
        async def again():
            await client.send_file(b"parent", business_id=1, chat_id=2)
            fork(lambda: send(b"child"))
            await client.send_file(b"parent again", business_id=1, chat_id=2)
            await client.aclose()

        if mode == "sync":
            send(b"parent")
            fork(lambda: (send(b"child"), client.close()))
            send(b"parent again")
            client.close()
        else:
            asyncio.run(again())
        """
        with tls_server(tmp_path) as (secure, authority), MockServer() as plain:
            server = secure if tls else plain
            forked(program, mode, keep_alive, server, authority)
        assert [file.content for file in server.received] == [b"parent", b"child", b"parent again"]
        before, child, after = (request.connection for request in server.requests)
        assert before != child != after
        assert (before == after) == keep_alive

    @pytest.mark.parametrize("slowly", [False, True])
    def test_a_forked_child_does_not_wait_for_the_places_of_its_parent(
        self, server: MockServer, mode: str, slowly: bool
    ) -> None:
        program = """
        def child():
            if more == "slowly":
                # Some of its threads come while another one is at the beginning of the first use.
                kind, real = type(client._places), type(client._places).__init__
                kind.__init__ = lambda *arguments: (time.sleep(0.05), real(*arguments))[1]
            threads = [threading.Thread(target=send, args=[b"child %d" % number]) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        holder = threading.Thread(target=send, args=[Gate()])
        holder.start()
        assert reached.wait(10)
        fork(child)
        opened.set()
        holder.join()
        send(b"parent again")
        """
        forked(program, mode, False, server, "slowly" if slowly else "")
        contents = [file.content for file in server.received]
        assert sorted(contents[:8]) == [b"child %d" % number for number in range(8)]
        assert contents[8:] == [b"held", b"parent again"]
        assert server.most_in_flight == 1

    def test_a_child_forked_while_the_tls_context_is_made_can_send(self, mode: str, tmp_path: Path) -> None:
        program = """
        real = ssl.create_default_context

        def slow(*arguments, **named):
            reached.set()
            time.sleep(0.2)
            return real(*arguments, **named)

        ssl.create_default_context = slow
        first = threading.Thread(target=send, args=[b"parent"])
        first.start()
        assert reached.wait(10)
        fork(lambda: send(b"child"))
        first.join()
        """
        with tls_server(tmp_path) as (server, authority):
            forked(program, mode, False, server, authority)
        assert sorted(file.content for file in server.received) == [b"child", b"parent"]


def test_a_child_begins_with_places_and_connections_of_its_own(server: MockServer) -> None:
    # In this process, since what a forked one runs is not seen from here; the others fork for real.
    with ChatClient(api_key=server.api_key, base_url=server.base_url, max_parallel=1, timeout=2.0) as client:
        client._places.ask(1, Place())  # somebody's, in the parent
        _begin_as_child()
        client.send_file(b"x", business_id=1, chat_id=2)
    assert len(server.received) == 1
