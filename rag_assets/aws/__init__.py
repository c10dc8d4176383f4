"""AWS: clients, their errors in our own words, and secrets in its stores. Needs the extra `s3`, and only where AWS is configured."""
