"""From a window and its parameters to takes: encode, sample, decode.

In: audio, a mask, a prompt, seeds and a loaded checkpoint. Out: audio for the mask, with
progress between the steps, where a job can be cancelled.
"""
