"""The contract between the engine and its clients: messages, codec, errors, spans.

In and out: messages as frozen dataclasses, and the parts in which they travel. It imports
nothing else of ours, and all of ours may import it.
"""
