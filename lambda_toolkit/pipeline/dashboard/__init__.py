"""A web page on loopback that shows one pipeline: its health, its batches, its warehouse, and what is deployed.

Three steps, each a layer: :mod:`documents` reads what the commands read, :mod:`pages` turns documents into what a
template shows, and :mod:`server` answers requests with it. Nothing here changes anything.
"""
