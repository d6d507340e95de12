"""The admin of the reports.

- `report_admin`: the registered admin, with the fields of a report's page;
- `report_list`: the columns of the list;
- `report_page`: the overview above the fields, of which `next_run` explains the next run and `calendar_chart` draws the year;
- `report_buttons`: the buttons on list and page; the actions are in `admin.actions.report_actions`;
- `cron_check`: the page that explains the crons of selected reports;
- `history`: the page of everything that happened to a report;
- `pause_all`: the pause of all reports.
"""
