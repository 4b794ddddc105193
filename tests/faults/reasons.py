"""Why a scenario does not hold on a broker, and what would mend it; written by hand."""

#: Figures of runs on Disque in which nothing may run twice.
_BOTH_NODES = (
    "Thousands of packages wait longer than their RETRY of 5 s. Where one node lends a package in "
    "the moment in which the other finds that its time is over, both have lent it. A worker that "
    "has it already does not take it; another one runs it, within milliseconds of the first run "
    "and so before its result is there to tell. The first result stands. To refuse it, workers "
    "would have to know to the millisecond what the others have: a slot says that as of the last "
    "lease, and a package that failed and is to come back must not be refused."
)
_NEW_CLIENTS = (
    "The drain takes 10 to 14 s longer, at the very limit, and 20 s on a busier machine. Each of "
    "the fifty new workers makes a client of boto3, 50 to 80 ms of processor time, so some 3 s; "
    "where the rest goes was not measured. A session made before the fork would save those."
)
_SHORTEST_LEASE = (
    "IronMQ lends for 30 s at least, and cannot be asked what somebody holds. What a worker had "
    "just been lent when it was killed, and had not yet written down, comes back after that time. "
    "Only a server that lends for a shorter time would mend that."
)
#: Scenario and broker -> sentences that stand behind its figures in the docs.
REASONS: dict[tuple[str, str], str] = {
    ("F1", "sqs"): _NEW_CLIENTS,
    ("F1", "ironmq"): _SHORTEST_LEASE,
    **{(id, "disque"): _BOTH_NODES for id in ("F1", "F2", "F4", "F8", "F29", "F32")},
}
