"""Takes a run from its first step to its end. The run table is the truth; every write of a run is guarded.

worker          claims runs that may start and runs their steps
foreground      does the same in the calling process, without a queue
claim           claims a run, rescues it from a lost worker, opens an attempt
lease           the claimed run; renews and releases the lease while a step works
steps           the five steps
step_errors     turns exceptions of steps into outcomes
commit          writes an outcome as the run's next state
db_retry        repeats a write while the database is unavailable
poller          polls waiting runs in batches
download_slots  limits long downloads to all workers but one
"""
