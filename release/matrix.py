"""`make test-declared` and `make test-matrix`: the built wheel, in environments of its own.

`declared` has the declared dependencies and nothing else, and imports every module. `tests` runs the wrapper's tests on
each Python, with the lowest direct dependencies that are declared and with the newest; what the tests need beside them
is as the lock has it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

from .versions import TOP

PYTHONS = ("3.11", "3.12", "3.13", "3.14", "3.15")
#: Without this one nothing is shown. The others are left out where they are not installed, and that is said.
LEAST = "3.11"
DEPENDENCIES = {"lowest": "lowest-direct", "newest": "highest"}
#: Where all tests run; elsewhere only those that depend most on Python and on the dependencies.
WHOLE = {("3.11", "lowest"), ("3.13", "newest")}
WRAPPER_TESTS = "wrapper/tests"
OTHERWISE = (
    *("test_send", "test_answers", "test_errors", "test_exported_members", "test_files", "test_faults", "test_limits"),
    *("test_async_iterators", "test_files_that_change", "test_refused_files", "test_wire"),
    *("test_fail_closed", "test_defects"),
    *("test_tls", "test_proxies", "batch/test_engine", "batch/test_pace", "batch/test_journal", "command/test_send"),
)
#: Builds a wheel and an environment of its own; this script does the same.
LEFT_OUT = f"{WRAPPER_TESTS}/testing/test_installed.py"
COMMAND = "yandex-market-chat"
#: Modules that import what only an extra brings, by extra.
EXTRAS: dict[str, tuple[str, ...]] = {
    "cli": ("yandex_market_chat_command.",),
    "redis": ("yandex_market_chat.shared._redis",),
    "postgres": ("yandex_market_chat.shared._ledger_postgres",),
}
# pytest alone loads the plugin, so it is there.
IMPORTS = """
import importlib, pkgutil, sys, yandex_market_chat, yandex_market_chat_command, _yandex_market_chat_api
names = []
for package in (yandex_market_chat, yandex_market_chat_command, _yandex_market_chat_api):
    assert package.__file__.startswith(sys.prefix), package.__file__
    names += [module.name for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
wanted = [name for name in names if not name.startswith(tuple(sys.argv[1:])) and not name.endswith(".__main__")]
for name in wanted:
    importlib.import_module(name)
print(len(wanted), "modules")
"""

UV = str(TOP / ".venv" / "bin" / "uv")


def run(*command: str | Path, cwd: Path = TOP) -> str:
    """Run a command without the user's own settings; exit with its output if it fails."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "COV"))}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=kept, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}\n{' '.join(map(str, command))} ended with status {done.returncode}")
    return done.stdout


def build(folder: Path) -> Path:
    """Build the wheel into a directory."""
    run(UV, "build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


def environment(folder: Path, version: str, *requirements: str | Path) -> Path:
    """Make an environment, and return its Python."""
    run(UV, "venv", "--quiet", "--no-project", "--python", version, folder)
    python = folder / "bin" / "python"
    run(UV, "pip", "install", "--quiet", "--python", python, *requirements)
    return python


def present() -> list[str]:
    """Return the Pythons that are on this machine, and say which are not."""
    found = []
    for version in PYTHONS:
        asked = subprocess.run([UV, "python", "find", "--no-project", version], capture_output=True, check=False)
        if asked.returncode == 0:
            found.append(version)
        elif version == LEAST:
            sys.exit(f"Python {version} is not on this machine")
        else:
            print(f"Python {version}: SKIPPED, it is not on this machine", flush=True)
    return found


def declared(folder: Path, wheel: Path) -> None:
    """Import everything with nothing but the declared dependencies, then with each extra; send a file."""
    for version in present():
        python = environment(folder / f"declared-{version}", version, wheel)
        left_out = [name for names in EXTRAS.values() for name in names]
        told = run(python, "-I", "-W", "error", "-c", IMPORTS, *left_out)
        run(python, "-I", "-W", "error", "wrapper/scripts/demo.py")
        command = subprocess.run([python.with_name(COMMAND)], capture_output=True, text=True, check=False)
        if command.returncode != 2 or "[cli]" not in command.stderr:
            sys.exit(f"Python {version}: the command does not say which extra it needs: {command}")
        print(f"Python {version}, declared dependencies only: {told.strip()} imported, files sent", flush=True)
    for extra in EXTRAS:
        python = environment(folder / f"extra-{extra}", LEAST, f"{wheel}[{extra}]")
        others = [name for other, names in EXTRAS.items() if other != extra for name in names]
        told = run(python, "-I", "-W", "error", "-c", IMPORTS, *others)
        if extra == "cli":
            run(python.with_name(COMMAND), "--help")
        print(f"Python {LEAST}, with the extra {extra}: {told.strip()} imported", flush=True)


def tests(folder: Path, wheel: Path) -> None:
    """Run the wrapper's tests on each Python, with the lowest and the newest dependencies."""
    for version, which in product(present(), DEPENDENCIES):
        home = folder / f"{version}-{which}"
        home.mkdir()
        resolve = ("--resolution", DEPENDENCIES[which], "--python-version", version, "--no-header", "--no-annotate")
        runtime = run(UV, "pip", "compile", "--quiet", "pyproject.toml", "--all-extras", *resolve)
        free = set(re.findall(r"^([\w.-]+)==", runtime, re.MULTILINE))
        locked = re.findall(r"^(([\w.-]+)==[^ ;\\]+)", (TOP / "locks" / "dev.txt").read_text(), re.MULTILINE)
        (home / "pins.txt").write_text(runtime + "\n".join(pin for pin, name in locked if name not in free))
        complete = f"{wheel}[{','.join(EXTRAS)}]"
        python = environment(home / "venv", version, complete, "--group", "tests", "--constraint", home / "pins.txt")
        whole = (version, which) in WHOLE
        chosen = [WRAPPER_TESTS] if whole else [f"{WRAPPER_TESTS}/{name}.py" for name in OTHERWISE]
        pytest = ("-m", "pytest", "-n", "2", "--dist", "worksteal", "-p", "no:cacheprovider", "--randomly-seed=1")
        told = run(python, *pytest, "--ignore", LEFT_OUT, *chosen)
        origin = re.search(r"^testing (.*)$", told, re.MULTILINE)
        if not origin or not Path(origin[1]).is_relative_to(home):
            sys.exit(f"Python {version}, {which} dependencies: what was tested is not the wheel, but {origin}")
        pins = ", ".join(re.findall(r"^(?:attrs|h11|httpcore|httpx)==.*$", runtime, re.MULTILINE))
        print(f"Python {version}, {which} ({pins}): {told.splitlines()[-1].strip('= ')}", flush=True)


def main(what: str) -> None:
    """Build the wheel once, and test it as asked."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = build(folder)
        {"declared": declared, "tests": tests}[what](folder, wheel)


if __name__ == "__main__":
    main(sys.argv[1])
