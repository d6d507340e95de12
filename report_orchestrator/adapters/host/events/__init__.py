"""The events of a report, however the host stores them.

reader    the interface for reading events
shapes    choose the reader from the settings
kinds     the model or column values that make an event a geo, ring or box
related   read events and their kinds through relations of groups or reports
source    read events from a function of the host
"""
