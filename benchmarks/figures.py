"""The benchmark's figures for people: the table of README.md, and a picture. Both are made from bench.json alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

Found = dict[str, Any]

BEGIN, END = "<!-- what make bench measured -->\n", "<!-- end of the benchmark -->\n"
LABELS = {
    "ours": "this package",
    "httpx": "httpx",
    "requests": "requests",
    "urllib3": "urllib3",
    "generated": "generated client, as it is",
    "by_hand": "generated request by hand, our transport",
    "ya_market_api": "ya-market-api",
    "raw_socket": "a raw socket",
    "ours_async": "this package, async",
    "httpx_async": "httpx, async",
    "aiohttp_async": "aiohttp",
    "by_hand_async": "generated request by hand, our transport, async",
    "ya_market_api_async": "ya-market-api, async",
}
SENT = ["10 KB, reused connection", "10 KB, new connection", "5 MB, reused connection", "5 MB, new connection"]


def measured_of(row: Found) -> str:
    """Return what was measured for a bound, with its spread."""
    if "ratio" in row:
        least = f"; importing what is needed: {row['least']:.2f}" if "least" in row else ""
        return f"{row['ratio']:.2f} ({row['lower']:.2f} to {row['upper']:.2f}){least}"
    return f"{abs(row['value']) if abs(row['value']) < 0.005 else row['value']:.2f}"


def table(found: Found) -> list[str]:
    """Return the lines of README.md."""
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
    lines += ["", "| bound | measured (quartiles of the rounds) | at most | |", "| --- | --- | --- | --- |"]
    for row in found["bounds"]:
        unit = " ".join(LABELS.get(word, word) for word in row["unit"].split(" "))
        lines.append(
            f"| {row['what']} | {measured_of(row)} | {row['most']:.2f} {unit} | {'' if row['kept'] else '**missed**'} |"
        )
    return lines


def with_table(text: str, found: Found) -> str:
    """Return README.md with the table of these figures."""
    place = re.compile(re.escape(BEGIN) + ".*" + re.escape(END), re.DOTALL)
    if not place.search(text):
        raise SystemExit(f"README.md has no place for the table, between {BEGIN.strip()} and {END.strip()}")
    return place.sub(lambda _: BEGIN + "\n" + "\n".join(table(found)) + "\n\n" + END, text)


def draw(found: Found, path: Path) -> None:
    """Write the picture: what a send costs, by sender."""
    import matplotlib as mpl
    from matplotlib import pyplot

    mpl.rcParams["svg.hashsalt"] = "bench"  # the same figures give the same file
    chart, axes = pyplot.subplots(1, 2, figsize=(11, 4.2), sharey=True, layout="constrained")
    for panel, what in zip(axes, ("10 KB, reused connection", "5 MB, reused connection"), strict=True):
        names = [name for name in LABELS if name in found["medians"][what]][::-1]
        costs = [found["medians"][what][name] * 1000 for name in names]
        colours = ["tab:blue" if name.startswith("ours") else "silver" for name in names]
        panel.bar_label(panel.barh([LABELS[name] for name in names], costs, color=colours), fmt="%.2f", padding=2)
        panel.set_title(what)
        panel.set_xlabel("CPU of one send, ms")
        panel.margins(x=0.15)
        panel.spines[["top", "right"]].set_visible(False)
    chart.savefig(path, metadata={"Date": None})
