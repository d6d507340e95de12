"""Pure rules and values: no Django, no input or output, no clock.

reports      the host's reports and events as frozen values
payload      Fireant's request body for one run of a report
json_diff    differences of two JSON values
runs         a run's steps, outcomes and state transitions
error_codes  titles, advice and meaning of errors for retries and the circuit breaker
retries      the wait before the next attempt
paths        the path of a stored result
cron_parser  parses a five-field cron
cron         finds its times in a time zone
cron_text    describes it in a sentence
wall_clock   wall times that clock changes skip or repeat
printable    escapes control characters for terminals and logs
"""
