"""HAProxy."""

from __future__ import annotations

from typing import Final

from .gateway import ELSEWHERE, PAGE, PATIENCE, Kind, Site

IMPATIENT: Final = f"timeout server {PATIENCE}s"
OWN_ERRORS: Final = (502, 503, 504)


def _each(setting: str) -> str:
    return "\n".join([IMPATIENT, *(setting.format(status) for status in OWN_ERRORS)])


LISTENERS: Final = {
    "plain": "",
    "impatient": IMPATIENT,
    "redirect": _each(f"errorloc302 {{}} {ELSEWHERE}"),
    "see-other": _each(f"errorloc303 {{}} {ELSEWHERE}"),
    "redirect-all": f"http-response return status 302 hdr Location {ELSEWHERE} if {{ status ge 400 }}",
    "page": _each("errorfile {} 200.http"),
    "499": _each("errorfile {} 499.http"),
    "dead": "",
    "dead-redirect": _each(f"errorloc302 {{}} {ELSEWHERE}"),
    "login": f"http-request redirect location {ELSEWHERE} code 302",
    "upgrade": "http-request redirect scheme https code 301",
    "portal": f'http-request return status 200 content-type text/html string "{PAGE}"',
    "empty": "http-request return status 204",
    "small": "http-request deny deny_status 413 if { req.hdr(content-length) -m int gt 1024 }",
    "denied": "http-request deny",
    "busy": "http-request deny deny_status 429",
    "cut": "http-request reject",
    "gzip": "compression algo gzip\ncompression type application/json\nhttp-request set-header Accept-Encoding gzip",
    "early-hints": 'http-request early-hint Link "</style.css>; rel=preload"',
}


def configuration(site: Site) -> str:
    """Return haproxy.cfg; the pages that take the place of its own errors go beside it."""
    for status in ("200 OK", "499 Client Closed Request"):
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(PAGE)}\r\nContent-Type: text/html\r\n\r\n"
        (site.folder / f"{status[:3]}.http").write_text(head + PAGE, newline="")
    lines = ["defaults", "mode http", "timeout connect 60s", "timeout client 60s", "timeout server 60s", "retries 0"]
    for name, scheme, port, origin in site.listeners:
        tls, to_tls = (f"ssl crt {site.certificate}", "ssl verify none") if scheme == "https" else ("", "")
        lines += [
            f"listen {name}-{scheme}",
            f"bind {site.address}:{port} {tls}",
            f"server origin 127.0.0.1:{origin} {to_tls}",
            LISTENERS[name],
        ]
    return "\n".join([*lines, ""])


HAPROXY: Final = Kind("haproxy", LISTENERS, configuration, ("haproxy", "-db", "-f", "{folder}/configuration"))
