"""Searches of operators and compiles of models, as one table.

    python benchmarks/bench.py --json new.json
    python benchmarks/bench.py --json new.json --against old.json

The columns are those of bench_search.py and bench_compile.py, which say what they mean. JSON has
the same rows, and can be compared with: seconds depend on the machine, counts do not.
"""

import bench_compile
import bench_search
from measure import parser, report


def main() -> None:
    """Print the table."""
    options = parser(__doc__.partition("\n")[0] if __doc__ else None)
    options.add_argument("--repeats", metavar="N", type=int, default=bench_search.REPEATS)
    arguments = options.parse_args()
    rows = [
        *bench_search.rows(arguments.only, arguments.repeats),
        *bench_compile.rows(arguments.only, arguments.repeats),
    ]
    report(rows, arguments)


if __name__ == "__main__":
    main()
