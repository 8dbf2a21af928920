"""What is done once for a REAPER on this machine: install, remove, look whether all is well.

In: REAPER's resource folder. Out: the scripts in it and how they start the bridge, or
findings.
"""
