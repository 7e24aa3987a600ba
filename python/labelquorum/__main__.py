"""``python -m labelquorum``: the command line."""

import sys

from labelquorum.cli import main

sys.exit(main())
