"""Limits on the use of Fireant, shared by all clusters through the database.

limits           jobs in flight, submissions per minute, and whether a run may start its next step now
circuit_breaker  counts failures of Fireant, and lets one run at a time probe it while it is down
"""
