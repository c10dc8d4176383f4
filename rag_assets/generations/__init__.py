"""Immutable generations: staged, sealed with a digest, verified, retired."""
