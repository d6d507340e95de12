"""The work of the product, by subject. Each imports only packages further down.

lists             filters, search and columns of lists, for admin, commands and files
reports           filters of the report list, and the values of one report's page
operator_actions  retry and cancel by a person
discovery         keeps our rows of the host's reports up to date
monitoring        reads one snapshot of the product, for health, doctor, status and dashboard
upkeep            keeps the run table and the result store in order at every tick
scheduling        creates the runs that are due, and changes what is scheduled
running           takes a run from its first step to its end
timetable         decides which times are due, and keeps the queue's schedules
fireant           limits the use of Fireant over all clusters
evidence          records where a result came from, and who changed a run
upkeep_failures   records failures of upkeep until the task succeeds
events            emits the signals of all of them
"""
