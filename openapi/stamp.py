"""Completes the generated package: `contract.json`, `py.typed`, and `_stamp.py`, which says what it was made from."""

import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

from ruamel.yaml import YAML

TOP = Path(__file__).resolve().parents[1]
# What decides, beside the contract, which bytes are generated.
SETTINGS = ("generator-config.yaml", "openapi/fixes.py", "openapi/stamp.py")


def canonical(contract: Path) -> bytes:
    """Return the contract as JSON with sorted keys: same meaning, same bytes, whatever comments and order say."""
    document = YAML(typ="safe", pure=True).load(contract)
    return (json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def stamp(package: Path) -> None:
    """Write the three files into `package`."""
    contract = canonical(TOP / "openapi" / "openapi.yaml")
    settings = hashlib.sha256(b"".join((TOP / name).read_bytes() for name in SETTINGS))
    lines = (
        '"""What this package was generated from."""',
        "",
        f'CONTRACT_VERSION = "{json.loads(contract)["info"]["version"]}"',
        f'CONTRACT_SHA256 = "{hashlib.sha256(contract).hexdigest()}"  # of contract.json',
        f'SETTINGS_SHA256 = "{settings.hexdigest()}"  # of {", ".join(SETTINGS)}',
        f'GENERATOR = "openapi-python-client {version("openapi-python-client")}"',
        f'FORMATTER = "ruff {version("ruff")}"',
        "",
    )
    (package / "contract.json").write_bytes(contract)
    (package / "py.typed").write_bytes(b"")
    (package / "_stamp.py").write_text("\n".join(lines), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    stamp(Path(sys.argv[1]))
