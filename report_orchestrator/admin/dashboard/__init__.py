"""The dashboard on the app's start page in the admin.

- `board`: all that its template shows, read from one snapshot;
- `verdict`: the first line: failures, lateness, today's runs, workers;
- `health_cards`: scheduler, workers, Fireant and the lake;
- `problems`: the list of problems, with links to their rows and retries;
- `hour_charts`: the last 24 hours and the next 12;
- `count_rows`: unfinished runs by status and step, and the limits;
- `signs`: good, warning, bad, and the worst of several.
"""
