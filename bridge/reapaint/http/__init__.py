"""The gateway: an engine behind the HTTP interfaces of hosted services, and the page.

In: requests, as clients of WaveSpeed, eachlabs or fal send them (``shapes``), or as the page
does. Out: predictions, and the files that came of them.
"""
