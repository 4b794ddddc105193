"""The survey without a queue: plain calls of the same functions. Prints their digest."""

import json
from concurrent.futures import ProcessPoolExecutor

from survey.report import report
from survey.tasks import analyse, library_files


def main() -> None:
    """Print it."""
    with ProcessPoolExecutor(2) as pool:
        results = pool.map(analyse, library_files(), chunksize=20)
        print(json.dumps(report(results).digest))


if __name__ == "__main__":
    main()
