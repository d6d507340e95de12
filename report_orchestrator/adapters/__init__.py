"""Each vendor behind one of the `ports`; no adapter package imports another.

fireant     submits jobs to Fireant, polls them, streams results
onelake     stores results in Microsoft Fabric OneLake
local       stores results in a folder
delta       appends results to a Delta table
host        reads the host project's reports, events and modifiers; writes its job rows
queue       wakes workers through Django-Q2
http        HTTP exchanges with limits on time, network errors as readable text

background_thread, database_clock, json_completeness and masked_errors are shared by several of them.
"""
