"""When reports are due, and the rows of Django-Q's schedule table that wake the scheduler. Creates no run.

cron_zone           reads a report's cron in its time zone
due_times           decides which times of a report run and which are skipped; writes nothing
effective_settings  the scheduling settings that all clusters follow
queue_schedules     the rows that Django-Q's schedule table should hold, and the list of ticks with their intervals
queue_sync          updates that table to those rows
"""
