"""From the sources to normalized texts: listing, reading, parsing."""
