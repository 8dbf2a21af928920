"""The Stable Audio 3 backend: fills a mask by the model's own inpainting.

In: a window and its parameters. Out: a take for each seed. ``backend`` is the entrance;
below it ``inference`` uses ``network`` and ``device``, and all know ``checkpoint``. ``benchmark``
measures them.
"""
