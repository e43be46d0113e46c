"""The command line: `python3 -m tally FILE …`"""

import sys

from tally.files import read_all
from tally.report import report


def main(arguments: list[str]) -> int:
    """Print the report of the files. Exit code 2 when one cannot be read."""
    try:
        print(report(read_all(arguments)))
    except OSError as error:
        print(f"tally: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
