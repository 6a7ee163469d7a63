"""The command `yandex-market-chat`. Needs the extra: `pip install 'yandex-market-chat[cli]'`.

It stands beside the package, since the import of that brings all of httpx, and `--help` is to be there at once.
"""

import sys
from importlib.util import find_spec

__all__ = ["main"]


def main() -> int:
    """Run the command with the arguments of this process; return its exit status."""
    if not (find_spec("click") and find_spec("rich")):
        print("The command needs click and rich. Install them: pip install 'yandex-market-chat[cli]'", file=sys.stderr)
        return 2
    from ._commands import run

    return run(sys.argv[1:])
