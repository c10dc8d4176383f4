"""Text: decoding, normalization, storage, tokens, headings."""
