"""The way to an engine: found, started, spoken to, lost and found again.

In: a request of the protocol, with its audio. Out: the result, or an error that says what
became of the engine. ``backends`` says which of an engine's backends a request is for.
"""
