"""What tests of the model share."""

import os

# Tiny networks are done before two threads have met. Set before torch counts its own.
os.environ.setdefault("OMP_NUM_THREADS", "1")
