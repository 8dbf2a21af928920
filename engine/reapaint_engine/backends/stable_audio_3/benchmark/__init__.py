"""How fast and how large Stable Audio 3 is here, beside diffusers' stock pipeline.

In: options (``run.measure``). Out: times, ratios and memory as plain data.
"""
