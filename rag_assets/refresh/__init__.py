"""The steps of a refresh as the assets call them, without Dagster."""
