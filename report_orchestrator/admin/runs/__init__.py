"""The admin of the runs.

- `run_admin`: the registered admin, with the list's columns, filters and search;
- `run_page`: the fields of a run's page, of which `run_narrative` writes the sentences;
- `step_bars`, `attempts`, `log_lines`: the steps, attempts and log below the sentences;
- `preview`, `download`: the start of the result as a page, and all of it as a file;
- `live_runs`: the address that says whether runs changed, and the live line of list and page;
- `compare`: the page that compares two runs, and the links to the runs before and after;
- `run_buttons`: the buttons on list and page; the actions are in `admin.actions.run_actions`.
"""
