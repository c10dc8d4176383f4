"""Tests of what a team deploys: the compose file, the images, dagster.yaml, and the stack itself."""
