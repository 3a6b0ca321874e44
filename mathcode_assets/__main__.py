"""`python -m mathcode_assets` is `mathcode`."""

import sys

from mathcode_assets.cli import main

if __name__ == "__main__":
    sys.exit(main())
