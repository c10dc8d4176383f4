"""The knowledge base as a server for assistants: read-only tools, over stdio and HTTP, in the Model Context Protocol."""
