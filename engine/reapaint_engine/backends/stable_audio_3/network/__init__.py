"""The networks as functions of tensors: transformer, codec, text encoder.

In: tensors and weights. Out: tensors. Nothing here knows of files, requests or devices'
limits.
"""
