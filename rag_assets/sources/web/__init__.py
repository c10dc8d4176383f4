"""What it takes to read the web: one file for each thing that a page, a site or a robot is asked.

Here belongs what knows nothing of documents and refreshes; that is in `sources/urls.py`. What may be connected to is
decided in `safe_http`.
"""
