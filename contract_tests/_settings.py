"""How long to look: the same cases each time for `make contract`, others each time for `make contract-deep`."""

from __future__ import annotations

import os
from typing import Literal

from hypothesis import HealthCheck, Phase, settings

Validity = Literal["positive", "negative"]

#: Of `make contract-deep`: how many times as many examples. Unset: the short run, in which nothing is left to chance.
_DEPTH = int(os.environ.get("CONTRACT_DEPTH", "0"))
DEEP = _DEPTH > 0
#: For what schemathesis generates, which would else be random; the rest takes pytest's --hypothesis-seed.
SEED = int(os.environ.get("CONTRACT_SEED", "0"))
# Filtering and large files are on purpose, and each test makes its own server calls, so no example has a fair time.
_ALLOWED = list(HealthCheck)


def examples(count: int) -> settings:
    """Settings for a test that looks at so many examples in the short run."""
    return settings(
        max_examples=count * max(1, _DEPTH),
        derandomize=not DEEP,
        database=None,
        deadline=None,
        print_blob=DEEP,
        suppress_health_check=_ALLOWED,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
    )
