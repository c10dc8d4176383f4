"""Changes between production and the sources: pure set arithmetic, no input or output."""
