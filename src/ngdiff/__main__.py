"""`python -m ngdiff`."""

import sys

from ngdiff.cli import main

if __name__ == "__main__":
    sys.exit(main())
