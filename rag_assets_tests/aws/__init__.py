"""Tests of the clients and secrets of AWS, against a moto server."""
