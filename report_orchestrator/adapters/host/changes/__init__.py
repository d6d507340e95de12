"""Changes of the host's rows, noticed as they are saved.

signals     listen to the models that the settings name
watches     notice changes of a model's rows, whichever class makes them
collector   the changes of a transaction, refreshed once after its commit
"""
