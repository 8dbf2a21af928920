"""The context backend: fills a mask from the sound around it, without a model.

In: a window. Out: an interpolation, a texture made anew, or a passage that fits, by what the
surroundings are.
"""
