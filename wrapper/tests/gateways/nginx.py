"""nginx."""

from __future__ import annotations

from typing import Final

from .gateway import ELSEWHERE, PAGE, PATIENCE, Kind, Site

IMPATIENT: Final = f"proxy_read_timeout {PATIENCE}s;"
LISTENERS: Final = {
    "plain": "",
    "unbuffered": "proxy_request_buffering off; proxy_http_version 1.1;",
    "impatient": IMPATIENT,
    "redirect": f"{IMPATIENT} error_page 502 504 {ELSEWHERE};",
    "see-other": f"{IMPATIENT} error_page 502 504 =303 {ELSEWHERE};",
    "temporary": f"{IMPATIENT} error_page 502 504 =307 {ELSEWHERE};",
    "permanent": f"{IMPATIENT} error_page 502 504 =308 {ELSEWHERE};",
    "fallback": f"{IMPATIENT} error_page 502 504 = @fallback;",
    "redirect-all": f"proxy_intercept_errors on; error_page 403 404 500 502 503 504 {ELSEWHERE};",
    "page": f"{IMPATIENT} error_page 502 504 =200 /sorry;",
    "499": f"{IMPATIENT} error_page 502 504 =499 /sorry;",
    "dead": "",
    "dead-redirect": f"error_page 502 504 {ELSEWHERE};",
    "login": f"return 302 {ELSEWHERE};",
    "upgrade": "return 301 https://$host$request_uri;",
    "portal": f"default_type text/html; return 200 '{PAGE}';",
    "empty": "return 204;",
    "small": "client_max_body_size 1k;",
    "stalled": f"client_body_timeout {PATIENCE}s; proxy_request_buffering off;",
    "denied": "deny all;",
    "busy": "return 429;",
    "cut": "return 444;",
    "compressing": "gzip on; gzip_proxied any; gzip_min_length 1; gzip_http_version 1.0; gzip_types application/json;",
    # Only what asks for gzip gets it, which the client does not: this one asks another for it.
    "gzip": "proxy_set_header Accept-Encoding gzip;",
}


def configuration(site: Site) -> str:
    """Return nginx.conf."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    compressing = {listener.scheme: listener.port for listener in site.listeners if listener.name == "compressing"}
    lines = [
        # Without a master it runs as whoever runs the tests.
        "daemon off; master_process off;",
        f"pid {site.folder}/pid;",
        "events { worker_connections 500; }",
        "http {",
        "access_log off; client_max_body_size 8m;",
        *(f"{kind}_temp_path {site.folder}/{kind};" for kind in kinds),
        f"ssl_certificate {site.certificate}; ssl_certificate_key {site.certificate};",
    ]
    for name, scheme, port, origin in site.listeners:
        behind = f"{site.address}:{compressing[scheme]}" if name == "gzip" else f"127.0.0.1:{origin}"
        lines += [
            f"server {{ listen {site.address}:{port}{' ssl' if scheme == 'https' else ''};",
            f"location / {{ {LISTENERS[name]} proxy_pass {scheme}://{behind}; }}",
            f"location = /sorry {{ internal; default_type text/html; return 200 '{PAGE}'; }}",
            f"location @fallback {{ return 302 {ELSEWHERE}; }} }}",
        ]
    return "\n".join([*lines, "}", ""])


NGINX: Final = Kind(
    "nginx", LISTENERS, configuration, ("nginx", "-e", "{folder}/error.log", "-c", "{folder}/configuration")
)
