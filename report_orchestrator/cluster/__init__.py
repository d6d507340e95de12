"""Django-Q2's cluster, made so that it does not hang: whoever of it is killed, the others work on.

Its roles (worker, pusher, monitor, and the sentinel's bookkeeping) are Django-Q2's own. What differs is what stands between them:

- `channels`: their queues, events and timers, without a lock that a killed process could take with it;
- `children`: their processes, which end with their parent;
- `pace`: how soon what died is started again;
- `guard`: the sentinel, which replaces what died and ends in bounded time;
- `main`: the process that was started, which replaces a sentinel that died.

It needs `fork`; on systems without it, `manage.py qcluster` runs Django-Q2's own cluster.
"""
