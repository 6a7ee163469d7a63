"""What is compared: the same file sent by ours and by what one would take instead, each in a process of its own.

`python senders.py NAME URL once` sends 10 KB and ends. `python senders.py NAME URL` reads lines "size reuse count" and
answers each with the CPU seconds that so many sends took.

Nothing is imported here that a sender would not import: the first use counts too.
"""

import sys
import time

BUSINESS, CHAT, NAME, TYPE = 123, 456, "invoice.pdf", "application/pdf"
PATH = f"/v2/businesses/{BUSINESS}/chats/file/send"
KEY = "ACMA:" + "0" * 40
# The same for all, as far as they can be told.
HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "benchmark", "Api-Key": KEY}


def _headers(reuse):
    return HEADERS if reuse else HEADERS | {"Connection": "close"}


def ours(url, reuse):
    from yandex_market_chat import ChatClient

    chat = ChatClient(api_key=KEY, base_url=url, keep_alive=reuse)
    return lambda content: chat.send_file(content, business_id=BUSINESS, chat_id=CHAT, name=NAME)


def ours_async(url, reuse):
    from yandex_market_chat import AsyncChatClient

    chat = AsyncChatClient(api_key=KEY, base_url=url, keep_alive=reuse)
    return lambda content: chat.send_file(content, business_id=BUSINESS, chat_id=CHAT, name=NAME)


def httpx(url, reuse):
    import httpx

    client = httpx.Client(headers=_headers(reuse))

    def send(content):
        response = client.post(url + PATH, params={"chatId": CHAT}, files={"file": (NAME, content, TYPE)})
        assert response.json()["status"] == "OK"

    return send


def httpx_async(url, reuse):
    import httpx

    client = httpx.AsyncClient(headers=_headers(reuse))

    async def send(content):
        response = await client.post(url + PATH, params={"chatId": CHAT}, files={"file": (NAME, content, TYPE)})
        assert response.json()["status"] == "OK"

    return send


def requests(url, reuse):
    import requests

    session = requests.Session()
    session.headers.update(_headers(reuse))

    def send(content):
        response = session.post(url + PATH, params={"chatId": CHAT}, files={"file": (NAME, content, TYPE)})
        assert response.json()["status"] == "OK"

    return send


def urllib3(url, reuse):
    import urllib3

    pool = urllib3.PoolManager(headers=_headers(reuse))

    def send(content):
        response = pool.request("POST", f"{url}{PATH}?chatId={CHAT}", fields={"file": (NAME, content, TYPE)})
        assert response.json()["status"] == "OK"

    return send


def aiohttp_async(url, reuse):
    import aiohttp

    sessions = []

    async def send(content):
        if not sessions:  # a session wants a running loop
            connector = aiohttp.TCPConnector(force_close=not reuse)
            sessions.append(aiohttp.ClientSession(headers=HEADERS, connector=connector))
        form = aiohttp.FormData()
        form.add_field("file", content, filename=NAME, content_type=TYPE)
        async with sessions[0].post(url + PATH, params={"chatId": CHAT}, data=form) as response:
            assert (await response.json())["status"] == "OK"

    return send


def generated(url, reuse):
    from io import BytesIO

    from _yandex_market_chat_api import AuthenticatedClient
    from _yandex_market_chat_api.api.chats import send_file_to_chat
    from _yandex_market_chat_api.models import SendFileToChatRequest
    from _yandex_market_chat_api.types import File

    client = AuthenticatedClient(url, token=KEY, prefix="", auth_header_name="Api-Key", headers=_headers(reuse))

    def send(content):
        body = SendFileToChatRequest(file=File(BytesIO(content), NAME, TYPE))
        answer = send_file_to_chat.sync_detailed(BUSINESS, client=client, body=body, chat_id=CHAT)
        assert answer.parsed.status.value == "OK"

    return send


def _request_and_check(url, reuse):
    import httpx

    from _yandex_market_chat_api import Client
    from _yandex_market_chat_api.api.chats import send_file_to_chat
    from _yandex_market_chat_api.models import SendFileToChatRequest
    from _yandex_market_chat_api.types import File

    client = Client(url)

    def request(content):
        body = SendFileToChatRequest(file=File(content, NAME, TYPE))
        call = send_file_to_chat._get_kwargs(BUSINESS, body=body, chat_id=CHAT)
        call["url"], call["headers"] = url + call["url"], call["headers"] | _headers(reuse)
        return httpx.Request(**call)

    def check(response):
        assert send_file_to_chat._parse_response(client=client, response=response).status.value == "OK"

    return request, check


def _attempt(chat):
    """Below our transport the network asks which attempt it is."""
    import math

    from yandex_market_chat._exchange import Exchange

    return Exchange(chat._credentials, chat._timeout, math.inf)


def by_hand(url, reuse):
    from yandex_market_chat import ChatClient

    (request, check), chat = _request_and_check(url, reuse), ChatClient(api_key=KEY, base_url=url, keep_alive=reuse)

    def send(content):
        with _attempt(chat):
            response = chat._connections().handle_request(request(content))
            response.read()
            response.close()
        check(response)

    return send


def by_hand_async(url, reuse):
    from yandex_market_chat import AsyncChatClient

    (request, check), chat = (
        _request_and_check(url, reuse),
        AsyncChatClient(api_key=KEY, base_url=url, keep_alive=reuse),
    )

    async def send(content):
        with _attempt(chat):
            response = await (await chat._connections()).handle_async_request(request(content))
            await response.aread()
            await response.aclose()
        check(response)

    return send


def ya_market_api(url, reuse):
    from ya_market_api.chat.dataclass import ChatMessageCreateFileRequest
    from ya_market_api.sync_api import SyncAPI

    api = SyncAPI.build(KEY, base_url=url, business_id=BUSINESS)
    api.config.session.headers.update({name: value for name, value in _headers(reuse).items() if name != "Api-Key"})

    def send(content):  # it cannot tell a name, nor a type
        answer = api.chat.create_chat_message_file(ChatMessageCreateFileRequest(chat_id=CHAT, file=content))
        assert answer.status.value == "OK"

    return send


def ya_market_api_async(url, reuse):
    from ya_market_api.async_api import AsyncAPI
    from ya_market_api.chat.dataclass import ChatMessageCreateFileRequest

    apis = []

    async def send(content):
        if not apis:
            apis.append(await AsyncAPI.build(KEY, base_url=url, business_id=BUSINESS))
            apis[0].config.session.headers.update(_headers(reuse))
        answer = await apis[0].chat.create_chat_message_file(ChatMessageCreateFileRequest(chat_id=CHAT, file=content))
        assert answer.status.value == "OK"

    return send


def raw_socket(url, reuse):
    """The floor: no library at all, the request built once."""
    import socket

    address, slash, path = url.removeprefix("http://").partition("/")
    host, _, port = address.partition(":")
    requests, connections = {}, []

    def request_of(content):
        head = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{NAME}"\r\nContent-Type: {TYPE}\r\n\r\n'
        told = _headers(reuse) | {
            "Host": host,
            "Content-Length": len(head) + len(content) + len("\r\n--b--\r\n"),
            "Content-Type": "multipart/form-data; boundary=b",
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        return (
            f"POST {slash}{path}{PATH}?chatId={CHAT} HTTP/1.1\r\n{lines}\r\n{head}".encode()
            + content
            + b"\r\n--b--\r\n"
        )

    def send(content):
        request = requests.get(len(content)) or requests.setdefault(len(content), request_of(content))
        connection = connections.pop() if connections else socket.create_connection((host, int(port)))
        connection.sendall(request)
        assert connection.recv(65536).endswith(b'{"status":"OK"}')
        if reuse:
            connections.append(connection)
        else:
            connection.close()

    return send


def main(name, url, *how):
    """Be one of them."""
    make = globals()[name]
    if name.endswith("_async"):
        import asyncio

        run = asyncio.Runner().run

        async def send_all(send, content, count):
            for _ in range(count):
                await send(content)
    else:
        run = None

        def send_all(send, content, count):
            for _ in range(count):
                send(content)

    def measured(send, content, count):
        start = time.process_time()
        work = send_all(send, content, count)
        if run is not None:
            run(work)
        return time.process_time() - start

    if how == ("once",):
        measured(make(url, False), b"x" * 10240, 1)
        return
    senders, contents = {}, {}
    for line in sys.stdin:
        size, reuse, count = map(int, line.split())
        if (size, reuse) not in contents:
            contents[size, reuse] = b"x" * size
            senders.setdefault(reuse, make(url, bool(reuse)))
            measured(senders[reuse], contents[size, reuse], max(1, count // 10))
        print(measured(senders[reuse], contents[size, reuse], count), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
