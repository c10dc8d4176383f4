"""Retrievers for LangChain and LlamaIndex. Each needs its extra."""
