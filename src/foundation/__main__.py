"""``python -m foundation`` is the command line."""

import sys

from foundation.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
