"""How much of what only repeats is done: a short sample, or TEST_SCALE times as much."""

import os

SCALE = int(os.environ.get("TEST_SCALE", "1"))
