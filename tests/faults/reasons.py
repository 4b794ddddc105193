"""Why a scenario does not hold on a broker, and what would mend it; written by hand."""

_BUSY = "The machine had ten programs for each core."
_STARTS = (
    "Fifty workers are started anew, on a machine that had ten programs for each core; five on a "
    "quieter one held."
)
_COUNT = "Counting the packages takes longer there than it may; the machine was busy."
#: Scenario and broker -> sentences that stand behind its figures in the docs.
REASONS: dict[tuple[str, str], str] = {
    ("F1", "redis"): _STARTS,
    ("F1", "postgres"): _STARTS,
    ("F2", "mariadb"): _BUSY,
    ("F18", "postgres"): _COUNT,
    ("F18", "mariadb"): _COUNT,
    ("F20", "mariadb"): "The plan uses the index; the machine was busy.",
    ("F46", "disque"): (
        "One worker had the same package from both nodes, as Disque may lend it, and ran it twice "
        "in a row; the second result was dropped. A worker that takes no package which it holds "
        "already would mend it."
    ),
}
