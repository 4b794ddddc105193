"""Why a scenario does not hold on a broker, and what would mend it; written by hand."""

_BUSY = "The machine had ten programs for each core."
_COUNTED = (
    "Every waiting package is counted, so the number is exact, and a million take that long. The "
    "heartbeat asks the more seldom the longer it takes; an estimate would mend it."
)
#: Scenario and broker -> sentences that stand behind its figures in the docs.
REASONS: dict[tuple[str, str], str] = {
    ("F2", "mariadb"): _BUSY,
    ("F2", "sqs"): _BUSY,
    ("F2", "disque"): _BUSY,
    ("F18", "postgres"): _COUNTED,
    ("F18", "mariadb"): _COUNTED,
    ("F18", "sqlite"): _COUNTED,
    ("F39", "disque"): (
        "A thousand packages wait longer than their RETRY; of some both nodes found that at the "
        "same moment, and lent them, as Disque does seldom. Of each the first result stands."
    ),
}
