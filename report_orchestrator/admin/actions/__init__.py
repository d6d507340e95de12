"""Actions of a person: question, permission, reason, record.

base              the base class of actions, and its values: target, question, confirmed request, outcome
confirm           the confirmation page of all actions, and the buttons that lead to it
forms             the forms of confirmations
rows              actions on rows: refusals, consequences and versions of each row
bulk              work row by row within a time limit
whole             actions without selected rows: on all reports, on all held removals
run_actions       retry, release and cancel a run
report_actions    run, pause, resume and backfill a report
"""
