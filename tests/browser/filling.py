"""`python -m tests.browser.filling`: the demo's history and a superuser; prints the rows to open, as JSON."""

from __future__ import annotations

import json
import sys

import django


def main() -> int:
    """Fills the databases of the environment."""
    django.setup()
    from report_orchestrator.models import ReportSchedule
    from tests.demo.show import PAUSED_NAME, make_superuser, start_some

    start_some()
    found = ReportSchedule.objects.exclude(name=PAUSED_NAME)
    filled = {
        "password": make_superuser(),
        "schedules": dict(found.values_list("name", "pk")),
        "reports": dict(found.values_list("name", "report_key")),
    }
    sys.stdout.write(json.dumps(filled))
    return 0


if __name__ == "__main__":
    sys.exit(main())
