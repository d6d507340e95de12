"""A local Fireant and a local OneLake on real sockets, for demos and tests. Production code never imports them.

fireant   the local Fireant: endpoints and jobs
onelake   the local OneLake with its Entra: endpoints, files and tokens
http      what both share: sockets and threads, requests and responses, faults to inject
"""
