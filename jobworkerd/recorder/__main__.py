"""``python -m jobworkerd.recorder FD``: executed by the runner with the channel as descriptor FD."""

import os
import sys

from .main import main

# Not sys.exit: a worker that is held would keep the interpreter from ending.
os._exit(main(int(sys.argv[1])))
