"""Create the runs that are due, and change what is scheduled: pauses, the switch, backfills, leaps of the clock.

open_due_runs     creates the runs of every report that is due
evaluations       records when the scheduler checked for due reports
create_runs       inserts runs: scheduled, skipped and manual ones
switch            switches reports between live and shadow, where another system runs them
backfill          plans and opens runs for past times
clock_leaps       undoes what was decided by a clock that was ahead
scheduling_start  starts scheduling now, without the times before
pausing           pauses and resumes one report or all
"""
