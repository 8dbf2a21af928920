"""The ways to fill a mask: one file or folder for each, behind ``base.Backend``.

In: a window of audio with its mask, and parameters. Out: sound for the mask, which
the caller levels and splices.
"""
