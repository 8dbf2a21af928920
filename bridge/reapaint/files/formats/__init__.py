"""Audio formats: one module for each family of files, and what they share.

In: a file's bytes. Out: where its samples and other contents lie, and the bytes of a file
that keeps all of them but the patches.
"""
