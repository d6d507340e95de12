"""Changes of the host's reports.

change_admin    the list and pages of changes
change_diff     a change field by field
removals        accept held removals; the last discovery's result
"""
