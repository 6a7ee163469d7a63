"""`make build`: wheel and sdist of the commit that is checked out, the same bytes wherever they are built, in `dist/`.

Beside them `SHA256SUMS`, and `requirements-pin.txt`: the package and everything that it needs, exactly, with hashes, in
the versions of `locks/dev.txt`, which are those that the tests ran with. `requirements-pin-cli.txt` is the
same for the package with its command.
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

DIST, SUMS = "dist", "SHA256SUMS"
#: What each of the files pins.
PINS = {"requirements-pin.txt": "yandex-market-chat", "requirements-pin-cli.txt": "yandex-market-chat[cli]"}


def archive(folder: Path, umask: int) -> Path:
    """Check the commit out in a directory, build it there; return the directory of wheel and sdist."""
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


def pins(folder: Path, name: str) -> str:
    """Return the requirements that pin what was built into that directory, under that name, and its whole closure."""
    tree = folder.parent / "tree"
    locked = (tree / "locks" / "dev.txt").read_text(encoding="utf-8")
    constraints = folder.parent / "constraints.txt"
    constraints.write_text("\n".join(re.findall(r"^[\w.-]+==[^ ;\\]+", locked, re.MULTILINE)), encoding="utf-8")
    wanted = folder.parent / "wanted.txt"
    wanted.write_text(f"{name}=={package_version(tree)}\n", encoding="utf-8")
    resolve = ("--universal", "--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate")
    found = run(UV, "pip", "compile", "--quiet", wanted, *resolve, "--constraint", constraints, "--find-links", folder)
    (wheel,) = folder.glob("*.whl")
    if digest(wheel) not in found or "://" in found:
        sys.exit(f"build: these pins of {name} are not what they are to be:\n{found}")
    return found


def digest(file: Path) -> str:
    """Return a file's SHA-256, in hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def install(folder: Path, file: str) -> None:
    """Install what was built by its pins, with plain pip, as users who pin do; send files with it."""
    with tempfile.TemporaryDirectory() as name:
        python = Path(name) / "venv" / "bin" / "python"
        run(sys.executable, "-m", "venv", python.parents[1])
        hashed = ("--require-hashes", "--find-links", folder, "--requirement", folder / file)
        run(python, "-m", "pip", "install", "--quiet", *hashed)
        run(python, "-I", "-W", "error", TOP / "wrapper" / "scripts" / "demo.py")


def build() -> list[str]:
    """Build twice, compare, describe, install, and put into `dist/`; return a line for each file."""
    with tempfile.TemporaryDirectory() as name:
        first, second = archive(Path(name) / "first", 0o022), archive(Path(name) / "in another folder", 0o077)
        files = sorted(first.iterdir())
        if not files or [digest(file) for file in files] != [digest(second / file.name) for file in files]:
            sys.exit("build: two builds of the same commit differ, so this one proves nothing")
        for file, wanted in PINS.items():
            (first / file).write_text(pins(first, wanted), encoding="utf-8", newline="\n")
        sums = [f"{digest(file)}  {file.name}" for file in sorted(first.iterdir())]
        (first / SUMS).write_text("\n".join(sums) + "\n", encoding="utf-8", newline="\n")
        for file in PINS:
            install(first, file)
        shutil.rmtree(TOP / DIST, ignore_errors=True)
        shutil.copytree(first, TOP / DIST, copy_function=shutil.copyfile)
    return sums


if __name__ == "__main__":
    print("built twice from the commit, byte for byte the same, and installed by its hashes:", *build(), sep="\n")
