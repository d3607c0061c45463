"""``python -m jobworkerd.api FD``: executed by the runner with the channel as descriptor FD."""

import os
import sys

from . import heap
from .tls import ENVIRONMENT

os.environ.update(ENVIRONMENT)

from .main import main

heap.keep()

# Not sys.exit: grpc's threads are of no more use, and some of its versions hang at the end.
os._exit(main(int(sys.argv[1])))
