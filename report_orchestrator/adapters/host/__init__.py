"""The host project's models, named by the settings.

events       the events of a report, in any shape
changes      changes of the host's rows, noticed as they are saved
editors      who edited reports, by the admin's log
reports      reports and their fields
modifiers    the dates of a run
jobs         the host's own rows of Fireant jobs
writes       references, and errors of tables that refuse a row
rules        the field types accepted for each of our names
fields       resolve and check the model and field names in the settings
keys         primary keys as text and back
values       column values as JSON
timestamps   times in the host's columns
"""
