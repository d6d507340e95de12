"""Results as rows of a Delta table.

table    append a run's rows exactly once
rows     stream a JSON result as Arrow batches
probe    the doctor's check of a table
"""
