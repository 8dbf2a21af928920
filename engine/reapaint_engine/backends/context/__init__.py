"""The context backend: fill a mask from the sound around it, without a model.

In: a window. Out: an interpolation, a new texture, or a passage that fits; the surroundings
decide which.
"""
