"""Tables about every run, for SQL users: records of runs, their delivery, and the schema.

An observer: a down, slow or full database costs a refresh a warning and some seconds, and never its result.
"""
