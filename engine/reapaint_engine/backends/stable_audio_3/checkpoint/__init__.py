"""Checkpoints: which exist, how they get here, what they hold and where their tensors lie.

In: a folder, or a name in the catalog. Out: settings and tensors that have been checked. No
module here needs torch to say what a checkpoint is.
"""
