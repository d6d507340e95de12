"""Results in a local folder.

store            the `ResultStore`: write, read, sweep
folders          the folders below RESULT_ROOT, their modes and links
atomic_rename    give a file its final name without replacing another
folder           another system's files, read only
probe            the doctor's check of the folder
"""
