"""The library backend: fills a mask from a folder of sounds, by what the prompt says.

In: a window, a prompt and an index of the folder. Out: a file's sound as an event or a bed,
and which file it was.
"""
