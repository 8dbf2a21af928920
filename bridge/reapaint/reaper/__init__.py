"""The bridge beside REAPER: carries jobs from the scripts to an engine, and takes back.

In: the messages that the scripts leave in the spool, a folder shared with REAPER. Out: their
answers there, and takes as files in the project's own folder.
"""
