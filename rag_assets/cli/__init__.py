"""The `rag-assets` command line: arguments in, text and exit codes out. One module per group of commands."""
