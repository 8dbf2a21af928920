"""Devices: what this machine has, and what that means for a checkpoint.

In: a checkpoint's sizes and the machine. Out: where its parts run, in what precision, with
how much memory, and CUDA graphs.
"""
