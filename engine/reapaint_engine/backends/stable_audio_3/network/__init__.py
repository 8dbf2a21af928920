"""The networks as functions of tensors: transformer, codec, text encoder.

In: tensors and weights, or a text encoder's folder. Out: tensors. Nothing here knows of
requests, or of what a device can take.
"""
