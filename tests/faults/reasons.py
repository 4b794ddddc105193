"""Why a scenario does not hold on a broker, and what would mend it; written by hand."""

_BUSY = "The machine had ten programs for each core."
#: Scenario and broker -> sentences that stand behind its figures in the docs.
REASONS: dict[tuple[str, str], str] = {
    ("F2", "mariadb"): _BUSY,
    ("F2", "sqs"): _BUSY,
    ("F2", "disque"): _BUSY,
    ("F34", "ironmq"): (
        "A worker that had no file left could not look up the past of a package that came a second "
        "time, and kept it. A worker that gives back what it cannot look up would mend it."
    ),
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
