"""`make build`: wheel and sdist of the commit that is checked out, the same bytes wherever they are built, in `dist/`.

Beside them `SHA256SUMS`, and `requirements-pin.txt`: the package and everything that it needs, exactly, with hashes, in
the versions that the workshop's lock has, which are those that the tests ran with.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .matrix import UV, run
from .versions import TOP, package_version

DIST, SUMS, PINS = "dist", "SHA256SUMS", "requirements-pin.txt"
NAME = "yandex-market-chat"


def archive(folder: Path, umask: int) -> Path:
    """Lay the commit out in a folder, build it there, and return where wheel and sdist are."""
    folder.mkdir()
    tree, out = folder / "tree", folder / "out"
    tree.mkdir()
    packed = subprocess.run(["git", "archive", "HEAD"], cwd=TOP, capture_output=True, check=True)
    subprocess.run(["tar", "-x"], cwd=tree, input=packed.stdout, check=True, umask=umask)
    moment = run("git", "log", "-1", "--format=%ct").strip()
    command = [UV, "build", "--quiet", "--no-build-isolation", "--python", sys.executable, "--out-dir", str(out)]
    subprocess.run(command, cwd=tree, env=os.environ | {"SOURCE_DATE_EPOCH": moment}, check=True, umask=umask)
    (out / ".gitignore").unlink(missing_ok=True)
    return out


def pins(folder: Path) -> str:
    """Return the requirements that pin the package that was built into that folder, and its whole closure."""
    tree = folder.parent / "tree"
    locked = (tree / "locks" / "workshop.txt").read_text(encoding="utf-8")
    constraints = folder.parent / "constraints.txt"
    constraints.write_text("\n".join(re.findall(r"^[\w.-]+==[^ ;\\]+", locked, re.MULTILINE)), encoding="utf-8")
    wanted = folder.parent / "wanted.txt"
    wanted.write_text(f"{NAME}=={package_version(tree)}\n", encoding="utf-8")
    resolve = ("--universal", "--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate")
    found = run(UV, "pip", "compile", "--quiet", wanted, *resolve, "--constraint", constraints, "--find-links", folder)
    (wheel,) = folder.glob("*.whl")
    if digest(wheel) not in found or "://" in found:
        sys.exit(f"build: {PINS} would not be what it is to be:\n{found}")
    return found


def digest(file: Path) -> str:
    """Return a file's SHA-256, in hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def install(folder: Path) -> None:
    """Install what was built by its pins, with plain pip, as those do who pin; send a file with it."""
    with tempfile.TemporaryDirectory() as name:
        python = Path(name) / "venv" / "bin" / "python"
        run(sys.executable, "-m", "venv", python.parents[1])
        hashed = ("--require-hashes", "--find-links", folder, "--requirement", folder / PINS)
        run(python, "-m", "pip", "install", "--quiet", *hashed)
        run(python, "-I", "-W", "error", TOP / "wrapper" / "demo.py")


def build() -> list[str]:
    """Build twice, compare, describe, install, and put into `dist/`; return a line for each file."""
    with tempfile.TemporaryDirectory() as name:
        first, second = archive(Path(name) / "first", 0o022), archive(Path(name) / "in another folder", 0o077)
        files = sorted(first.iterdir())
        if not files or [digest(file) for file in files] != [digest(second / file.name) for file in files]:
            sys.exit("build: two builds of the same commit differ, so this one proves nothing")
        (first / PINS).write_text(pins(first), encoding="utf-8", newline="\n")
        sums = [f"{digest(file)}  {file.name}" for file in sorted(first.iterdir())]
        (first / SUMS).write_text("\n".join(sums) + "\n", encoding="utf-8", newline="\n")
        install(first)
        shutil.rmtree(TOP / DIST, ignore_errors=True)
        shutil.copytree(first, TOP / DIST, copy_function=shutil.copyfile)
    return sums


if __name__ == "__main__":
    print("built twice from the commit, byte for byte the same, and installed by its hashes:", *build(), sep="\n")
