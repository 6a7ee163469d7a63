"""Apache httpd."""

from __future__ import annotations

import os
from typing import Final

from .gateway import ELSEWHERE, PAGE, PATIENCE, Kind, Site

# Debian's apache2-bin has them here.
MODULES: Final = "/usr/lib/apache2/modules/mod_{0}.so"
NEEDED: Final = (
    "mpm_event", "authz_core", "proxy", "proxy_http", "ssl", "alias", "env", "filter", "deflate",
    "reqtimeout", "mime", "rewrite",
)  # fmt: skip
# What is not the origin's.
OWN: Final = "ProxyPass / !"


def _redirect(*statuses: int) -> str:
    return "\n".join(f"ErrorDocument {status} {ELSEWHERE}" for status in statuses)


LISTENERS: Final = {
    "plain": "",
    "impatient": f"ProxyTimeout {PATIENCE}",
    "redirect": f"ProxyTimeout {PATIENCE}\n{_redirect(502, 503, 504)}",
    "redirect-all": f"ProxyErrorOverride On\n{_redirect(403, 404, 500, 502, 503, 504)}",
    "dead": "",
    "dead-redirect": _redirect(502, 503, 504),
    "login": f"{OWN}\nRedirect 302 / {ELSEWHERE}",
    "upgrade": f"{OWN}\nRedirect 301 / https://127.0.0.1:9/",
    "portal": f"{OWN}\nAliasMatch .* {{folder}}/page.html",
    # LimitRequestBody is not for requests that are handed on.
    "small": 'RewriteEngine On\nRewriteCond expr "%{{HTTP:Content-Length}} -gt 1024"\nRewriteRule .* - [R=413]',
    "stalled": f"RequestReadTimeout body={PATIENCE}",
    "denied": "<Location />\nRequire all denied\n</Location>",
    "busy": f"{OWN}\nRedirect 429 /",
    "chunked": "SetEnv proxy-sendchunked 1",
    "gzip": "SetEnv force-gzip 1\nSetOutputFilter DEFLATE",
}


def configuration(site: Site) -> str:
    """Return httpd.conf; the page of the portal goes beside it."""
    (site.folder / "page.html").write_text(PAGE)
    lines = [
        f"ServerRoot {site.folder}",
        "ServerName gateway.invalid",
        "PidFile pid",
        "ErrorLog error.log",
        "Mutex pthread",
        *(f"LoadModule {name}_module {MODULES.format(name)}" for name in NEEDED),
        "TypesConfig /dev/null",
        "AddType text/html .html",
        "SSLProxyCheckPeerName off",
        "LimitRequestBody 0",
    ]
    if os.geteuid() == 0:  # it does not serve as root
        lines += ["User www-data", "Group www-data"]
    for name, scheme, port, origin in site.listeners:
        lines += [f"Listen {site.address}:{port}", f"<VirtualHost {site.address}:{port}>"]
        if scheme == "https":
            lines += ["SSLEngine on", "SSLProxyEngine on", f"SSLCertificateFile {site.certificate}"]
        # retry=0: an origin that failed is tried again at once.
        lines += [
            LISTENERS[name].format(folder=site.folder),
            f"ProxyPass / {scheme}://127.0.0.1:{origin}/ retry=0 disablereuse=On",
            "</VirtualHost>",
        ]
    return "\n".join([*lines, ""])


APACHE: Final = Kind("apache", LISTENERS, configuration, ("apache2", "-DFOREGROUND", "-f", "{folder}/configuration"))
