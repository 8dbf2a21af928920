"""The engine: owns the models and the device, and repaints windows of audio.

In: requests of the protocol over ZeroMQ, or from a caller in the same process (``local``).
Out: patches at the source's own rate, crossfaded and levelled, with a report. Clients import
only ``protocol``.
"""
