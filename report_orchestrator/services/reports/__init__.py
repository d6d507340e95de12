"""Reports as the admin lists and shows them.

conditions      filters: late, failing, flaky, never run, invalid, paused
details         the values of one report's page
history         changes and actions of one report in one list
rules           the settings a report runs by, and their sources
run_comparison  the runs before and after a run, and the values that compare two
run_history     past runs of many reports, and one report's year
"""
