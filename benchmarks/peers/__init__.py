"""One file a peer: how it is set up, started, fed and looked at.

Each is imported in the environment of its peer only, by the producer and by the workers. It has

- `prepare()`: make tables and the like;
- `commands()`: what starts the workers, each a module of Python and its words;
- `send_each(kind, numbers, arguments)`: one call of the peer for each number;
- `send_bulk(kind, numbers, arguments)`: the same in few calls, where the peer can;
- `unsettled()`: tasks that wait, run or are not acknowledged;
- `unsettled_at_most()`: the same without a count, perhaps too many, where it can tell;
- `results()`: results that are stored.

A kind is "noop", "wait" or "spin", of `benchmarks.tasks`. The settings are those its documentation
recommends for speed with what it stores.
"""
