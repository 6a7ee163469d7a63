"""The benchmark's figures for people, as Markdown."""

from __future__ import annotations

import re
from typing import Any

Found = dict[str, Any]

BEGIN, END = "<!-- what make bench measured -->\n", "<!-- end of the benchmark -->\n"
LABELS = {
    "ours": "this package",
    "httpx": "httpx",
    "requests": "requests",
    "urllib3": "urllib3",
    "generated": "generated client alone",
    "ya_market_api": "ya-market-api",
    "raw_socket": "a raw socket",
    "ours_async": "this package, async",
    "httpx_async": "httpx, async",
    "aiohttp_async": "aiohttp",
    "ya_market_api_async": "ya-market-api, async",
}
SENT = ["10 KB, TLS", "10 KB, plain", "5 MB, TLS", "5 MB, plain"]


def measured_of(row: Found) -> str:
    """Return what was measured for a bound, with its spread."""
    if "ratio" in row:
        return f"{row['ratio']:.2f} ({row['lower']:.2f} to {row['upper']:.2f})"
    return f"{abs(row['value']) if abs(row['value']) < 0.005 else row['value']:.2f}"


def limit_of(row: Found) -> str:
    """Return the bound, if there is one, and what it counts."""
    unit = " ".join(LABELS.get(word, word) for word in row["unit"].split(" "))
    return unit if row["most"] is None else f"at most {row['most']:.2f} {unit}"


def table(found: Found) -> list[str]:
    """Return the tables, line by line."""
    about = found["measured"]
    packages = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    lines = [
        f"Measured on {about['date']}: Python {about['python']}, {about['system']}; {packages}.",
        "",
        "| CPU of a send, ms | " + " | ".join(SENT) + " |",
        "| --- |" + " --- |" * len(SENT),
    ]
    for name, label in LABELS.items():
        costs = (f"{found['medians'][what][name] * 1000:.2f}" for what in SENT)
        lines.append(f"| {label} | " + " | ".join(costs) + " |")
    lines += ["", "| what | measured (quartiles of the rounds) | bound |", "| --- | --- | --- |"]
    for row in found["bounds"]:
        missed = "" if row["kept"] else ", **missed**"
        lines.append(f"| {row['what']} | {measured_of(row)} | {limit_of(row)}{missed} |")
    return lines


def with_table(text: str, found: Found) -> str:
    """Return a page with the tables of these figures between its two marks."""
    place = re.compile(re.escape(BEGIN) + ".*" + re.escape(END), re.DOTALL)
    if not place.search(text):
        raise SystemExit(f"the page has no place for the table, between {BEGIN.strip()} and {END.strip()}")
    return place.sub(lambda _: BEGIN + "\n" + "\n".join(table(found)) + "\n\n" + END, text)
