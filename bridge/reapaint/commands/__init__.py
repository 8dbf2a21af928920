"""The program ``reapaint``: one module for each command, and what they show with.

In: the words that a person typed (``cli`` reads them). Out: what they see, or one JSON
object, and an exit code. Nothing but this wing prints.
"""
