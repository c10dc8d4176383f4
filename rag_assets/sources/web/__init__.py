"""Pieces for reading web pages: URLs, links, sitemaps, robots.txt, notes between refreshes.

Decisions about documents are in `sources/urls.py`, connections in `safe_http`.
"""
