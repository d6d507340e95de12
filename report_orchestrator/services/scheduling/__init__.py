"""Decide which runs are due, and keep the queue's schedules that wake the scheduler.

due_times           decides which times of a report run and which are skipped; writes nothing
open_due_runs       applies these decisions to every report that is due
evaluations         records when the scheduler checked for due reports
create_runs         inserts runs: scheduled, skipped and manual ones
switch              switches reports between live and shadow, where another system runs them
backfill            plans and opens runs for past times
clock_leaps         undoes what was decided by a clock that was ahead
scheduling_start    starts scheduling now, without the times before
pausing             pauses and resumes one report or all
cron_zone           reads a report's cron in its time zone
effective_settings  the scheduling settings that all clusters follow
queue_schedules     the rows that Django-Q's schedule table should hold, and the list of ticks with their intervals
queue_sync          updates that table to those rows
"""
