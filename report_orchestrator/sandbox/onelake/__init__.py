"""A local OneLake with an Entra, over TLS, with faults on demand. It needs `cryptography`.

sandbox        the server, a context manager with `url`, `settings_overrides` and `faults`
api            authorization, faults and the headers of all responses
requests       parses requests; `actions` handles them
files, blobs   the stored files, and the Blob service on top of them
entra          tokens; `certificates` makes the TLS certificates
options        names, ids and credentials
faults         the lake's faults and errors
"""

from report_orchestrator.sandbox.onelake.options import OneLakeOptions
from report_orchestrator.sandbox.onelake.sandbox import OneLakeSandbox

__all__ = ["OneLakeOptions", "OneLakeSandbox"]
