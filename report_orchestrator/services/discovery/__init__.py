"""Keep our rows of the host's reports up to date.

full_scan      reads all reports of the host, and retires those that are gone
changed        reads single reports, and those with a new change stamp
schedule_sync  compares reports with our rows and writes the differences
next_times     corrects next times whose inputs changed
definition     derives a report's state and its changes; writes nothing
result         counts and lists of one pass
"""
