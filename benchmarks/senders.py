"""What is compared: the same file sent by this package and by its alternatives, each in a process of its own.

`python senders.py NAME URL` sends 10 KB and ends. `python senders.py NAME` reads lines "url size count" and answers
each with the CPU seconds that so many sends took. Every send opens a connection, as Market asks for. For TLS each
library finds the authority to trust in the environment, as it does by default.

Nothing is imported here that a sender would not import: the first use counts too.
"""

import sys
import time

BUSINESS, CHAT, NAME, TYPE = 123, 456, "invoice.pdf", "application/pdf"
PATH = f"/v2/businesses/{BUSINESS}/chats/file/send"
KEY = "ACMA:" + "0" * 40
# The same for all, as far as they allow it.
HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Connection": "close",
    "User-Agent": "benchmark",
    "Api-Key": KEY,
}


def ours(url):
    from yandex_market_chat import ChatClient

    chat = ChatClient(api_key=KEY, base_url=url)
    return lambda content: chat.send_file(content, business_id=BUSINESS, chat_id=CHAT, name=NAME)


def ours_async(url):
    from yandex_market_chat import AsyncChatClient

    chat = AsyncChatClient(api_key=KEY, base_url=url)
    return lambda content: chat.send_file(content, business_id=BUSINESS, chat_id=CHAT, name=NAME)


def httpx(url):
    import httpx

    client = httpx.Client(headers=HEADERS)

    def send(content):
        response = client.post(url + PATH, params={"chatId": CHAT}, files={"file": (NAME, content, TYPE)})
        assert response.json()["status"] == "OK"

    return send


def httpx_async(url):
    import httpx

    client = httpx.AsyncClient(headers=HEADERS)

    async def send(content):
        response = await client.post(url + PATH, params={"chatId": CHAT}, files={"file": (NAME, content, TYPE)})
        assert response.json()["status"] == "OK"

    return send


def requests(url):
    import requests

    session = requests.Session()
    session.headers.update(HEADERS)

    def send(content):
        response = session.post(url + PATH, params={"chatId": CHAT}, files={"file": (NAME, content, TYPE)})
        assert response.json()["status"] == "OK"

    return send


def urllib3(url):
    import urllib3

    pool = urllib3.PoolManager(headers=HEADERS)

    def send(content):
        response = pool.request("POST", f"{url}{PATH}?chatId={CHAT}", fields={"file": (NAME, content, TYPE)})
        assert response.json()["status"] == "OK"

    return send


def aiohttp_async(url):
    import aiohttp

    sessions = []

    async def send(content):
        if not sessions:  # a session needs a running loop
            sessions.append(aiohttp.ClientSession(headers=HEADERS, connector=aiohttp.TCPConnector(force_close=True)))
        form = aiohttp.FormData()
        form.add_field("file", content, filename=NAME, content_type=TYPE)
        async with sessions[0].post(url + PATH, params={"chatId": CHAT}, data=form) as response:
            assert (await response.json())["status"] == "OK"

    return send


def generated(url):
    from io import BytesIO

    from _yandex_market_chat_api import AuthenticatedClient
    from _yandex_market_chat_api.api.chats import send_file_to_chat
    from _yandex_market_chat_api.models import SendFileToChatRequest
    from _yandex_market_chat_api.types import File

    client = AuthenticatedClient(url, token=KEY, prefix="", auth_header_name="Api-Key", headers=dict(HEADERS))

    def send(content):
        body = SendFileToChatRequest(file=File(BytesIO(content), NAME, TYPE))
        answer = send_file_to_chat.sync_detailed(BUSINESS, client=client, body=body, chat_id=CHAT)
        assert answer.parsed.status.value == "OK"

    return send


def ya_market_api(url):
    from ya_market_api.chat.dataclass import ChatMessageCreateFileRequest
    from ya_market_api.sync_api import SyncAPI

    api = SyncAPI.build(KEY, base_url=url, business_id=BUSINESS)
    api.config.session.headers.update({name: value for name, value in HEADERS.items() if name != "Api-Key"})

    def send(content):  # takes neither a name nor a type
        answer = api.chat.create_chat_message_file(ChatMessageCreateFileRequest(chat_id=CHAT, file=content))
        assert answer.status.value == "OK"

    return send


def ya_market_api_async(url):
    from ya_market_api.async_api import AsyncAPI
    from ya_market_api.chat.dataclass import ChatMessageCreateFileRequest

    apis = []

    async def send(content):
        if not apis:
            apis.append(await AsyncAPI.build(KEY, base_url=url, business_id=BUSINESS))
            apis[0].config.session.headers.update(HEADERS)
        answer = await apis[0].chat.create_chat_message_file(ChatMessageCreateFileRequest(chat_id=CHAT, file=content))
        assert answer.status.value == "OK"

    return send


def raw_socket(url):
    """The floor: no library at all, the request built once."""
    import socket
    import ssl

    scheme, _, rest = url.partition("://")
    address, slash, path = rest.partition("/")
    host, _, port = address.partition(":")
    context = ssl.create_default_context() if scheme == "https" else None
    requests = {}

    def request_of(content):
        head = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{NAME}"\r\nContent-Type: {TYPE}\r\n\r\n'
        headers = HEADERS | {
            "Host": host,
            "Content-Length": len(head) + len(content) + len("\r\n--b--\r\n"),
            "Content-Type": "multipart/form-data; boundary=b",
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        target = f"{slash}{path}{PATH}?chatId={CHAT}"
        return f"POST {target} HTTP/1.1\r\n{lines}\r\n{head}".encode() + content + b"\r\n--b--\r\n"

    def send(content):
        request = requests.get(len(content)) or requests.setdefault(len(content), request_of(content))
        connection = socket.create_connection((host, int(port)))
        if context is not None:
            connection = context.wrap_socket(connection, server_hostname=host)
        with connection:
            connection.sendall(request)
            assert connection.recv(65536).endswith(b'{"status":"OK"}')

    return send


def main(name, *once):
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

    if once:
        measured(make(once[0]), b"x" * 10240, 1)
        return
    senders, contents = {}, {}
    for line in sys.stdin:
        url, size, count = line.split()
        if (url, size) not in contents:
            contents[url, size] = b"x" * int(size)
            senders.setdefault(url, make(url))
            measured(senders[url], contents[url, size], max(1, int(count) // 10))
        print(measured(senders[url], contents[url, size], int(count)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:3])
