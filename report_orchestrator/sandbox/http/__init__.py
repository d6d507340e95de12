"""The part that both sandboxes share: sockets, requests, responses and faults.

server      the base of a sandbox, its sockets and threads
handler     one connection: reads requests, sends responses with their faults
api         the base of a sandbox's endpoints, and the endpoints that all sandboxes have
responses   responses of a known length
faults      the faults to inject, and those that fired
"""
