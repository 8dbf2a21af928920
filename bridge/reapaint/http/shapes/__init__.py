"""The HTTP interfaces that the gateway answers as: WaveSpeed's, eachlabs' and fal's, and our own.

In: a service's own requests. Out: the gateway's, and its answers in the service's words.
"""
