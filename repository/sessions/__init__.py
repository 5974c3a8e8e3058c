"""Sessions of PostgreSQL: which server is at the other end, whether it may be used, and how.

Every connection goes through `set_up` before anything else uses it: those of the pools, of the
probe, of migrations and backfills.
"""
