"""What the services announce. Hosts may listen; `log_events` does, and writes the log.

Every signal is sent with `event` (a past-tense word, stable) and `fields` (a dict of plain values, never a payload or a secret),
after the database has what it tells of.
"""

from django.dispatch import Signal

run_event = Signal()
"""A run was opened, claimed, advanced, deferred, retried, ended or lost. Sender: `ReportRun`.

`fields` has at least `run_id`, `report` and `step`.
"""

message_event = Signal()
"""A message of the queue came for nothing: it was doubled or late, or another worker was faster. Sender: `ReportRun`.

`fields` has `run_id`; there need not be such a run any more.
"""

schedule_event = Signal()
"""Discovery, reconciliation or a tick did something. Sender: `ReportSchedule`."""
