"""Periodic upkeep of the run table and the result store, by any worker that receives a tick.

tick            one round of upkeep: notify workers, create overlooked runs, poll, prune, sweep
clock_rollback  shortens waits and leases after the database's clock was set back
pruning         deletes old runs, payloads, changes and queue failures
temp_files      removes the temporary files of workers that died
"""
