"""A local Fireant on a real socket, with jobs that take time and faults on demand.

sandbox    the server, a context manager with `url`, `jobs` and `faults`
api        Fireant's endpoints and their faults
jobs       jobs whose states follow from the clock
payloads   validation of submissions
results    the bodies of results
"""

from report_orchestrator.sandbox.fireant.jobs import SandboxJob, SandboxOptions
from report_orchestrator.sandbox.fireant.sandbox import FireantSandbox

__all__ = ["FireantSandbox", "SandboxJob", "SandboxOptions"]
