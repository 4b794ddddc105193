"""Why a scenario does not hold on a broker, and what would mend it; written by hand."""

_BUSY = "The machine had ten programs for each core."
_COUNT = "Counting the packages takes longer there than it may; the machine was busy."
#: Scenario and broker -> sentences that stand behind its figures in the docs.
REASONS: dict[tuple[str, str], str] = {
    ("F2", "mariadb"): _BUSY,
    ("F2", "sqs"): _BUSY,
    ("F2", "disque"): _BUSY,
    ("F18", "postgres"): _COUNT,
    ("F18", "mariadb"): _COUNT,
    ("F20", "mariadb"): "The plan uses the index; the machine was busy.",
    ("F34", "ironmq"): "A lease lasts 30 seconds there, and the scenario did not wait for its end.",
    ("F39", "ironmq"): (
        "After a kill between the sending of a link and the end of its predecessor both copies of "
        "the chain went on side by side; of each link the first result stands. A link that knows "
        "that it was sent would mend it."
    ),
    ("F46", "disque"): (
        "One worker had the same package from both nodes, as Disque may lend it, and ran it twice "
        "in a row; the second result was dropped. A worker that takes no package which it holds "
        "already would mend it."
    ),
}
