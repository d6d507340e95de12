"""`make soak`: clusters under random faults, for a chosen time. `python -m tests.faults.soak --seed 7` replays a seed.

Reports are run all the while. A supervisor starts the cluster again whenever it has ended, as systemd would. Once the time is
over the faults stop, everything has to end, and the invariants must hold.

__main__  the command, and the loop that runs reports and injects faults
setups    databases, broker and result store, each behind something that can fail
cluster   a supervised `qcluster`
faults    the faults, and which of them a setup can have
verdict   the invariants at the end
"""
