"""``python -m labelquorum``: the command line."""

import sys

from labelquorum.cli.main import main

sys.exit(main())
