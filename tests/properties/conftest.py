"""Ways to draw examples: the same ones every time, few or (`make proof`) many; with EXPLORE=1 many new ones.

What gates a change must not depend on luck; what looks for the unknown must. A failure prints the example and a
`reproduce_failure` line; with EXPLORE=1 `--hypothesis-seed` replays a whole run.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=120,
    print_blob=True,
    database=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile(
    "proof", settings.get_profile("ci"), derandomize="EXPLORE" not in os.environ, max_examples=3_000
)
settings.load_profile("ci")
