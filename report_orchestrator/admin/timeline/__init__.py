"""The timeline: all reports, their runs in the last hours and their due times in the next.

- `timeline_page`: the page with its filters;
- `timeline_chart`: the bars and marks, and the same values as a table;
- `run_rows`: the runs that have been under way longest, with their expected ends.
"""
