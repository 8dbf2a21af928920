"""Pure functions on arrays of shape (channels, frames), float32.

In: audio, masks and rates. Out: new arrays, or figures; nothing is kept and nothing is
written to.
"""
