"""Fireant over HTTP.

client                 submit jobs and ask about them
results                download results; `result_completeness` detects those that were cut short
probe                  check the connection, the key and the clock
session                connections of each process
responses              read responses within limits of size and time
errors                 responses and network failures as typed errors
"""
