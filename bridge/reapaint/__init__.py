"""Repaints stretches of audio files, from a command line, a browser, HTTP or REAPER.

In: files, times and settings, as people and programs give them. Out: new files in which only
the selection differs. The work itself is the engine's (``reapaint_engine``), which is asked
over its protocol; nothing here loads a model.
"""
