"""HTTP for all adapters.

bounded_http      a limit on the total time of an exchange
headers           dates and waits in headers
network_errors    network failures as readable text
"""
