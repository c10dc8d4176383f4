"""Sources of documents. One file per kind, registered in `registry`."""
