"""Runs a Django project's scheduled reports on Fireant and stores their results in Microsoft Fabric.

The package is one house with stairs in one direction: `domain` (pure rules) ← `ports` (what the outside must offer)
← `models` (the run table, which is the truth) ← `services` (what the product does) and `adapters` (each the only importer
of its vendor) ← `wiring` (settings become adapters) ← `tasks` (what qcluster calls) ← `admin` and the management commands.
A queue message is only a doorbell: whoever hears it looks at the run table, takes a lease, advances what is due and leaves.
"""

__version__ = "0.1.0"
