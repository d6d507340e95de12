"""Django-Q2's cluster, which does not hang: if a process is killed, the others continue.

Its roles (worker, pusher, monitor, and the sentinel's bookkeeping) are Django-Q2's own. These parts differ:

    channels          queues, events and timers without locks, which a killed process could never release
    ticker            runs the ticks, and reports the number of workers
    scheduler_broker  bounds the messages of reports that are due at once
    children          the processes, which end with their parent
    restart_backoff   the wait before a process is started again
    statistics        writes statistics for Django-Q's `qinfo` without reading the cache
    guard             the sentinel: replaces dead children and ends in bounded time
    output            writes every line of all processes as JSON in production
    main              the started process: replaces a dead sentinel

It needs `fork`; on systems without it, `manage.py qcluster` runs Django-Q2's own cluster.
"""
