"""Run a Django project's scheduled reports on Fireant and store their results in Microsoft Fabric.

Imports run one way: `domain` ← `ports` ← `models` ← `services` and `adapters` ← `wiring` ← `tasks` ← `admin` and commands.

    domain      pure rules: cron, run states, payload, retries
    ports       interfaces to the outside
    models      the run table, which holds the state of every run
    services    discovery, scheduling, running, monitoring, upkeep
    adapters    each the only importer of its vendor
    wiring      builds adapters from settings
    tasks       functions that Django-Q calls; a message only asks a worker to read the run table
    cluster     processes of `qcluster`; the ticker starts all periodic work
    brokers     ticks for clusters that Django-Q's own command starts
    admin       pages and actions; `management` has the commands
    sandbox     local Fireant and OneLake, for demos and tests

    conf        settings, parsed once; `setting_values` says what they may be, `checks` has their system checks
    runtime     ports, clock and settings that each service gets
    signals     events of runs and schedules; `log_events` writes them to the log, as JSON in production
    masking     replaces secrets in logs, pages and errors
    testing     fakes of all ports
"""

__version__ = "0.2.0"
