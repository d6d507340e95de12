"""Monitoring: one snapshot of the product's state, and all that renders it.

snapshot         reads reports, unfinished runs, heartbeats, circuit and pause, once
overdue          limits after which a process, a run, a lease or a report is overdue
unfinished_runs  runs that have not ended, grouped by status and step
findings         health checks of the snapshot, for the health view and command
doctor           checks of settings, databases, queue, Fireant and result store
verdict          one line that says if all is well, and each problem with its remedy
status           values of the status command
dashboard        values that only the dashboard shows
live_reads       whether runs changed, read once for all who watch
hourly_outcomes  times of the last hours, counted by outcome
timeline         runs and due times of many reports
forecast         times of the next hours, and reports that are late
failure_groups   failed runs, grouped by error code and step
"""
