"""The command `yandex-market-chat`. Needs the extra: `pip install 'yandex-market-chat[cli]'`.

It stands beside the package, since the import of that brings all of httpx, and `--help` is to be there at once.
"""

import sys
from importlib.util import find_spec

__all__ = ["main"]


def main() -> int:
    """Run the command with the arguments of this process; return its exit status."""
    if not (find_spec("click") and find_spec("rich")):
        from ._output import Status, finish, say

        sentence = "The command needs click and rich. Install them: pip install 'yandex-market-chat[cli]'"
        say(sentence)
        as_json = any(argument.partition("=")[0] == "--json" for argument in sys.argv[1:])
        return finish(Status.WRONG_USE, as_json, {"error": "ModuleNotFoundError", "message": sentence})
    from ._commands import run
    from ._output import let_go

    try:
        return run(sys.argv[1:])
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                let_go(stream)
