"""`python -m observatory` is the `observatory` command."""

import sys

from observatory.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
