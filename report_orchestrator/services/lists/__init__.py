"""The lists of runs, reports and changes, as the admin shows them and as commands and files give them.

filters   the conditions of the lists, each answered by an index
search    lookups of the terms that people have in hand: names, keys, references, jobs
columns   the columns of the files
exports   rows as CSV or JSON, streamed
"""
