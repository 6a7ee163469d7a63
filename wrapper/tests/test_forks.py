"""A process that forks: what parent and child may go on with."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from yandex_market_chat import ChatClient
from yandex_market_chat._base_client import _begin_as_child
from yandex_market_chat._slots import Slot
from yandex_market_chat.testing import MockServer

from .test_life import tls_server
from .test_parallel import in_fresh_process

FORKED = """
    import asyncio, gc, os, signal, ssl, sys, threading, time, traceback, warnings
    from yandex_market_chat import AsyncChatClient, ChatClient

    # From Python 3.12 on a fork beside threads is warned of, and forking beside threads is what is tried here.
    warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
    mode, url, key, more = sys.argv[1:]
    arguments = {"api_key": key, "base_url": url, "max_parallel": 1, "timeout": 5.0}
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


def forked(program: str, mode: str, server: MockServer, more: str) -> None:
    program = textwrap.dedent(FORKED) + textwrap.dedent(program)
    in_fresh_process(program, mode, server.base_url, server.api_key, more)


class TestFork:
    @pytest.mark.parametrize("tls", [False, True])
    def test_a_forked_child_opens_its_own_connection_and_the_parent_goes_on(
        self, mode: str, tls: bool, tmp_path: Path
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
            forked(program, mode, server, authority)
        assert [file.content for file in server.received] == [b"parent", b"child", b"parent again"]
        assert len({request.connection for request in server.requests}) == 3

    @pytest.mark.parametrize("slowly", [False, True])
    def test_a_forked_child_does_not_wait_for_the_slots_of_its_parent(
        self, server: MockServer, mode: str, slowly: bool
    ) -> None:
        program = """
        def child():
            if more == "slowly":
                # Some of its threads come while another one is at the beginning of the first use.
                kind, real = type(client._slots), type(client._slots).__init__
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
        forked(program, mode, server, "slowly" if slowly else "")
        contents = [file.content for file in server.received]
        assert sorted(contents[:8]) == [b"child %d" % number for number in range(8)]
        assert contents[8:] == [b"held", b"parent again"]
        assert server.most_in_flight == 1

    def test_a_child_forked_while_the_tls_context_is_made_can_send(self, mode: str, tmp_path: Path) -> None:
        program = """
        real = ssl.SSLContext.load_verify_locations

        def slow(*arguments, **named):
            reached.set()
            time.sleep(0.2)
            return real(*arguments, **named)

        # A CA file is loaded when the client is made, the environment's when they are first needed.
        os.environ["SSL_CERT_FILE"] = arguments.pop("verify")
        client = type(client)(**arguments)
        ssl.SSLContext.load_verify_locations = slow
        first = threading.Thread(target=send, args=[b"parent"])
        first.start()
        assert reached.wait(10)
        fork(lambda: send(b"child"))
        first.join()
        """
        with tls_server(tmp_path) as (server, authority):
            forked(program, mode, server, authority)
        assert sorted(file.content for file in server.received) == [b"child", b"parent"]


def test_a_child_begins_with_slots_of_its_own(server: MockServer) -> None:
    # In this process, since what a forked one runs is not seen from here; the others fork for real.
    with ChatClient(api_key=server.api_key, base_url=server.base_url, max_parallel=1, timeout=2.0) as client:
        client._slots.ask(1, Slot())  # somebody's, in the parent
        _begin_as_child()
        client.send_file(b"x", business_id=1, chat_id=2)
    assert len(server.received) == 1
