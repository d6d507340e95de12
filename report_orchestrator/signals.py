"""Signals of the services. Hosts may connect to them; `log_events` writes the log from them.

Every signal has `event` (a stable past-tense word) and `fields` (a dict of plain values, never a payload or a secret),
and is sent after the commit.
"""

from django.dispatch import Signal

run_event = Signal()
"""A run was opened, claimed, advanced, deferred, retried, ended or lost. Sender: `ReportRun`.

`fields` has at least `run_id`, `report` and `step`.
"""

message_event = Signal()
"""A queue message found nothing to do: it was repeated or late, or another worker was faster. Sender: `ReportRun`.

`fields` has `run_id`; the run may no longer exist.
"""

schedule_event = Signal()
"""An event of discovery, schedule sync or a tick. Sender: `ReportSchedule`."""
