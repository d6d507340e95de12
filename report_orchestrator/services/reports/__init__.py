"""Reports as the admin lists and shows them.

conditions      filters: late, failing, flaky, never run, invalid, paused
details         the values of one report's page
history         changes and actions of one report in one list
rules           the settings a report runs by, and their sources
run_comparison  the runs before and after a run, and the values that compare two
expected_end    when runs end and queued ones start, as far as it can be told
run_history     past runs of many reports, and one report's year
runs_under_way  the runs that have worked longest, with their expected ends
"""
