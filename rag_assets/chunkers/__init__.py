"""Chunkers. One file each, registered in `registry`."""
