"""One thread a process: the tests of several files run side by side, a process a core."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
