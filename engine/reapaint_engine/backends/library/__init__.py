"""The library backend: fill a mask from a folder of sounds, chosen by the prompt.

In: a window, a prompt and an index of the folder. Out: a file's sound as an event or a
sustained sound, and the name of the file.
"""
