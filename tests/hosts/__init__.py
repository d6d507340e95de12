"""Foreign host projects, each a few models. Tests install the app with the fixture `hosts`, and name a report model.

advice     fields whose names can be guessed
base       the common models: events, groups and reports
keys       primary keys of other kinds
relations  relations in other directions and to other columns
values     fields whose values need care
events     event models that are hard to guess, and deleted rows
shapes     events without child models: a column, several relations, a function
zoo        a field of every type
writes     modifiers and jobs that refuse rows
"""
