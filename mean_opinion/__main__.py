"""`python -m mean_opinion` is the command `mean-opinion`."""

import sys

from mean_opinion.cli import main

if __name__ == "__main__":
    sys.exit(main())
