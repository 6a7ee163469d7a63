"""A server that takes everything and says OK, as fast as Python can.

`python sink.py CERTIFICATE` prints two ports: one for plain HTTP, one for TLS with this certificate. A request to a
path that begins with /wait=SECONDS is answered after that time. One to a path that begins with /check is answered with
OK only if it is what all senders are to send.
"""

import socket
import ssl
import sys
import threading
import time

HEAD_END = b"\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\nConnection: close\r\n\r\n"
OK = HEAD + b'{"status":"OK"}'
NO = OK.replace(b'"OK"', b'"NO"')
FILE = b"\r\n\r\n" + b"x" * 10240 + b"\r\n--"
BUFFER = 1024 * 1024


def serve(connection: socket.socket, context: ssl.SSLContext | None) -> None:
    """Answer the one request of a connection."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with context.wrap_socket(connection, server_side=True) if context else connection as stream:
        head = b""
        while HEAD_END not in head:
            received = stream.recv(BUFFER)
            if not received:
                return
            head += received
        head, _, body = head.partition(HEAD_END)
        line, *lines = head.lower().split(b"\r\n")
        headers = dict(header.split(b": ", 1) for header in lines)
        left = int(headers[b"content-length"]) - len(body)
        if line.startswith(b"post /check"):
            while len(body) < int(headers[b"content-length"]):
                body += stream.recv(BUFFER)
            stream.sendall(OK if is_right(line, headers, body) else NO)
            return
        buffer = memoryview(bytearray(min(left, BUFFER)))
        while left > 0:
            count = stream.recv_into(buffer)
            if not count:
                return
            left -= count
        if b"wait=" in line:
            time.sleep(float(line.partition(b"wait=")[2].split(b"/")[0]))
        stream.sendall(OK)


def is_right(line: bytes, headers: dict[bytes, bytes], body: bytes) -> bool:
    """Whether it is a request with the file and nothing else."""
    return (
        line.split(b" ")[1] == b"/check/v2/businesses/123/chats/file/send?chatid=456"
        and headers[b"api-key"].startswith(b"acma:")
        and headers[b"connection"] == b"close"
        and headers[b"content-type"].startswith(b"multipart/form-data")
        and body.count(FILE) == body.count(b"Content-Disposition") == 1
    )


def accept(server: socket.socket, context: ssl.SSLContext | None) -> None:
    """Serve each connection in a thread of its own."""
    while True:
        threading.Thread(target=serve, args=(server.accept()[0], context), daemon=True).start()


if __name__ == "__main__":
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(sys.argv[1])
    plain, secure = (socket.create_server(("127.0.0.1", 0), backlog=1024) for _ in range(2))
    threading.Thread(target=accept, args=(secure, tls), daemon=True).start()
    print(plain.getsockname()[1], secure.getsockname()[1], flush=True)
    accept(plain, None)
