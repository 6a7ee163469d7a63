"""A server that takes everything and says OK, as fast as Python can: `python sink.py` prints its port.

A request to a path that begins with /wait=SECONDS is answered after so long. One to a path that begins with /check is
looked at, and answered with OK only if it is what all senders are to send, on a connection of its own.
"""

import socket
import threading
import time

HEAD_END = b"\r\n\r\n"
STATUS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n"
BODY = b'{"status":"OK"}'
LAST, NOT_LAST = (STATUS + connection + b"\r\n" + BODY for connection in (b"Connection: close\r\n", b""))
OTHER = LAST.replace(b"OK", b"NO")
FILE = b"\r\n\r\n" + b"x" * 10240 + b"\r\n--"
BUFFER = 1024 * 1024


def serve(connection: socket.socket) -> None:
    """Answer the requests of one connection."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    buffer = memoryview(bytearray(BUFFER))
    with connection:
        while True:
            head = b""
            while HEAD_END not in head:
                received = connection.recv(BUFFER)
                if not received:
                    return
                head += received
            head, _, body = head.partition(HEAD_END)
            line, *headers = head.lower().split(b"\r\n")
            told = dict(header.split(b": ", 1) for header in headers)
            left = int(told[b"content-length"]) - len(body)
            if line.startswith(b"post /check"):
                while len(body) < int(told[b"content-length"]):
                    body += connection.recv(BUFFER)
                connection.sendall(LAST if is_right(line, told, body) else OTHER)
                return
            while left > 0:
                taken = connection.recv_into(buffer)
                if not taken:
                    return
                left -= taken
            if b"wait=" in line:
                time.sleep(float(line.partition(b"wait=")[2].split(b"/")[0]))
            last = told.get(b"connection") == b"close"
            connection.sendall(LAST if last else NOT_LAST)
            if last:
                return


def is_right(line: bytes, told: dict[bytes, bytes], body: bytes) -> bool:
    """Whether a request with the file, and with no other, has come as it should."""
    return (
        line.split(b" ")[1] == b"/check/v2/businesses/123/chats/file/send?chatid=456"
        and told[b"api-key"].startswith(b"acma:")
        and told[b"connection"] == b"close"
        and told[b"content-type"].startswith(b"multipart/form-data")
        and body.count(FILE) == body.count(b"Content-Disposition") == 1
    )


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
