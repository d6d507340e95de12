"""Records that prove where a result came from and who changed a run.

acting_user        the user whose request is handled
audit              rows of the actions that people took on runs
manifest           the JSON file stored next to each result, with its size and hash
job_files          files that another system kept of its jobs
shadow_comparison  scheduled times in shadow, compared with the jobs that another system recorded
downloads          the bytes of a stored result, for a person: recorded and compared with the SHA-256
stored_results     stored results, compared with the SHA-256 that their runs keep
"""
