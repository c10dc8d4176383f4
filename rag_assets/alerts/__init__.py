"""Alerts: `messages` words them, `delivery` posts them. Free of Dagster: the command line and the sensors share them."""
