"""The program ``reapaint``: a module for each command or family of them, and their display.

In: the words that a person typed (``cli`` reads them). Out: what they see, or one JSON
object, and an exit code.
"""
