"""Two ways to draw examples: the same ones every time, or many new ones whose seeds are printed.

A failure prints the example and a `reproduce_failure` line; `--hypothesis-seed` replays a whole run.
"""

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
settings.register_profile("proof", settings.get_profile("ci"), derandomize=False, max_examples=3_000)
settings.load_profile("ci")
