"""Management commands and their bases.

base              formats, exit statuses, tables
follow_runs       commands that create runs: --now and --wait
audit_user        the user who runs a command, for the audit
list_command      lists of runs, reports and changes as text, JSON and CSV
run_command       retry and cancel of runs
pause_command     pause and resume of reports
sandbox_command   local Fireant and OneLake
"""
