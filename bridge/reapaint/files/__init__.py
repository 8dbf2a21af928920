"""Audio files: windows are read, and new files written in which only patches differ.

In: a path. Out: frames as (channels, frames) float32 at the file's own rate, or a new file
that appears whole or not at all.
"""
