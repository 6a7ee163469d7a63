"""`python -m yandex_market_chat_command` is the same command."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
