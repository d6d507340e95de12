"""What the admin's pages read: a few queries that an index answers, put into frozen values. Nothing here writes."""
