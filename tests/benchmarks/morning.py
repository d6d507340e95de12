"""The database of a large installation, and the cost of its admin pages; imported in a process of the environment.

The database itself generates the rows: ten days of 100,000 runs each, some in progress, and one report with a long
history.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.models import Permission, User
from django.db import connection, reset_queries
from django.test import Client, override_settings
from django.urls import reverse

from report_orchestrator.admin.ui.links import interval
from report_orchestrator.models import ReportRun, ReportSchedule, SharedState

HOUR = timedelta(hours=1)
ASKED = 5  # times that each page is asked for; the first is not counted

SCHEDULES = """
INSERT INTO report_orchestrator_reportschedule
    (report_model, report_key, name, cron, timezone, priority, state, problem_code, problem, next_run_at, decided_until,
     overlap, paused_by, pause_reason, discovered_at, changed_at)
SELECT 'api.Report', 'bench-' || n, 'Portfolio ' || n % 700 || ' peril ' || n % 9 || ' report ' || n,
       n % 60 || ' ' || n % 24 || ' * * *', CASE n % 3 WHEN 0 THEN 'Europe/Amsterdam' ELSE '' END, n % 30,
       CASE WHEN n % 200 = 0 THEN 'quarantined' WHEN n % 150 = 0 THEN 'disabled' ELSE 'active' END,
       CASE WHEN n % 200 = 0 THEN 'invalid_cron' ELSE '' END, '',
       CASE WHEN n % 200 = 0 OR n % 150 = 0 THEN NULL
            WHEN n % 5000 = 1 THEN now() - interval '1 hour'
            ELSE date_trunc('minute', now()) + (n % 1440 + 1) * interval '1 minute' END,
       now(), '', '', '', now(), now()
FROM generate_series(1, :reports) AS n
"""

RUNS = """
INSERT INTO report_orchestrator_reportrun
    (reference, schedule_id, report_key, report_name, trigger, triggered_by, scheduled_for, run_date, priority, in_line,
     status, step, wake_at, worker, version, attempt, failures, crashes, polls, error_code, error, modifier_key, job_kind,
     payload_digest, submission, possibly_submitted_twice, fireant_job_id, fireant_status, results_path, result_size,
     result_sha256, result_etag, created_at, started_at, ended_at)
SELECT gen_random_uuid(), schedule, key, name,
       CASE n % 211 WHEN 5 THEN 'manual' WHEN 9 THEN 'backfill' ELSE 'scheduled' END, '', due, due::date, 0, false, status,
       CASE status WHEN 'failed' THEN 'external_job_submission' WHEN 'deferred' THEN 'job_completion_status'
                   WHEN 'queued' THEN 'report_data' ELSE 'results_storage' END,
       CASE WHEN status IN ('queued', 'deferred') THEN now() + interval '1 minute' END, '', 9, 1, 0, 0, 5,
       CASE status WHEN 'failed' THEN (ARRAY['fireant_503', 'fireant_no_answer', 'unexpected'])[1 + n % 3] ELSE '' END,
       CASE status WHEN 'failed' THEN 'Fireant answered the submission of report ' || key || ' with 503. Retry the run.'
                   ELSE '' END,
       '2026-07-01', 'geo', md5(n::text) || md5(n::text), 1, false, n::text, 'Completed',
       CASE status WHEN 'succeeded' THEN 'report_results/' || key || '/' || due::date || '.json' ELSE '' END,
       100000 + n, '', '', due + interval '10 seconds', due + interval '11 seconds',
       CASE WHEN status NOT IN ('queued', 'deferred') THEN due + (60 + n % 600) * interval '1 second' END
FROM (
    SELECT n, s.id AS schedule, s.report_key AS key, s.name AS name,
           date_trunc('minute', now() - n * interval '0.864 second') AS due,
           CASE WHEN n < 6000 THEN CASE WHEN n % 3 = 0 THEN 'queued' WHEN n % 3 = 1 THEN 'deferred' ELSE 'succeeded' END
                WHEN n % 97 = 0 THEN 'failed' WHEN n % 151 = 0 THEN 'skipped' ELSE 'succeeded' END AS status
    FROM generate_series(1, :runs) AS n
    JOIN (SELECT id, report_key, name, row_number() OVER (ORDER BY id) AS place
          FROM report_orchestrator_reportschedule WHERE report_key LIKE 'bench-%') AS s
      ON s.place = 1 + n * 7 % :reports
) AS due_runs
"""

PAYLOADS = """
INSERT INTO report_orchestrator_runpayload (run_id, body)
SELECT run.id, (SELECT jsonb_build_object('name', run.report_name, 'events',
                       jsonb_agg(jsonb_build_object('id', event, 'name', 'Windstorm ' || event, 'region', 'North Sea')))
                FROM generate_series(1, 1000) AS event)
FROM (SELECT id, report_name FROM report_orchestrator_reportrun ORDER BY id DESC LIMIT 500) AS run
"""
"""The payloads of the newest runs: a thousand events each."""

CHANGES = """
INSERT INTO report_orchestrator_reportchange (schedule_id, kind, before, after, source, noticed_at)
SELECT id, CASE id % 500 WHEN 0 THEN 'removed' ELSE 'new' END, '{}', jsonb_build_object('cron', cron), 'discovery',
       now() - id % 40000 * interval '1 minute'
FROM report_orchestrator_reportschedule WHERE report_key LIKE 'bench-%'
"""

MINUTELY = """
UPDATE report_orchestrator_reportrun AS run
SET schedule_id = %s, scheduled_for = date_trunc('minute', now()) - place * interval '1 minute' + interval '30 seconds',
    run_date = (now() - place * interval '1 minute')::date
FROM (SELECT id, row_number() OVER (ORDER BY id DESC) AS place FROM report_orchestrator_reportrun
      WHERE status = 'succeeded' ORDER BY id DESC LIMIT %s) AS oldest
WHERE run.id = oldest.id
"""
"""One report with a long history of its own."""


def generate(reports: int, runs: int) -> int:
    """Generate the rows and the statistics of a database in use; return the number of runs."""
    with connection.cursor() as cursor:
        for statement in (SCHEDULES, RUNS, PAYLOADS, CHANGES):
            cursor.execute(statement.replace(":reports", str(reports)).replace(":runs", str(runs)))
        cursor.execute(MINUTELY, [_busiest(), runs // 20])
        cursor.execute("VACUUM ANALYZE report_orchestrator_reportschedule")
        cursor.execute("VACUUM ANALYZE report_orchestrator_reportrun")
        cursor.execute("VACUUM ANALYZE report_orchestrator_reportchange")
    now = datetime.now(UTC)
    for name in ("tick", "bell: report_orchestrator.tasks.tick"):
        SharedState.objects.record(name, now=now)
    return ReportRun.objects.count()


def _busiest() -> int:
    return ReportSchedule.objects.order_by("pk").values_list("pk", flat=True).filter(report_key="bench-7").get()


def measure() -> dict[str, list[float]]:
    """Return the queries and the median milliseconds of each page for each user."""
    logging.disable(logging.CRITICAL)
    found = {}
    for reader, user in _readers().items():
        client = Client(headers={"host": "localhost"})
        client.force_login(user)
        for page, address in _pages().items():
            found[f"{page}, {reader}"] = _ask(client, address)
    return found


def _readers() -> Mapping[str, User]:
    viewer = User.objects.create_user("bench viewer", is_staff=True)
    viewer.user_permissions.set(
        Permission.objects.filter(content_type__app_label="report_orchestrator", codename__startswith="view")
    )
    return {"superuser": User.objects.create_superuser("bench root"), "viewer": viewer}


def _pages() -> Mapping[str, str]:
    app = "admin:report_orchestrator"
    reports, runs, changes = (
        reverse(f"{app}_{model}_changelist") for model in ("reportschedule", "reportrun", "reportchange")
    )
    busy = _busiest()
    conditions = ("late", "failing", "flaky", "never_run", "paused", "shadow")
    return {
        "live": f"{runs}live/",
        "dashboard": reverse("admin:app_list", args=["report_orchestrator"]),
        "timeline": f"{reports}timeline/",
        "timeline, three hours": f"{reports}timeline/?hours=3",
        "timeline, failing": f"{reports}timeline/?condition=failing",
        "reports": reports,
        "reports, last page": f"{reports}?p=199",
        "reports, by next run": f"{reports}?o=6",
        "reports, search": f"{reports}?q=report+777",
        "reports, invalid": f"{reports}?state__exact=quarantined",
        **{f"reports, {name}": f"{reports}?condition={name}" for name in conditions},
        "report with 50,000 runs": reverse(f"{app}_reportschedule_change", args=[busy]),
        "runs": runs,
        "runs, failed today": f"{runs}?status=stopped&ended=day",
        "runs, one cause": f"{runs}?status=stopped&cause=fireant_503&step=external_job_submission&ended=day",
        "runs, search": f"{runs}?q=report+777",
        **{
            f"runs, due in {name}": f"{runs}?due={_last(span)}"
            for name, span in (("an hour", HOUR), ("a day", 24 * HOUR))
        },
        "reports, due in three hours": f"{reports}?due={_last(-3 * HOUR)}&o=6",
        "runs of one report": f"{runs}?report={busy}",
        "run": reverse(
            f"{app}_reportrun_change", args=[ReportRun.objects.order_by("-pk").values_list("pk", flat=True)[0]]
        ),
        **{f"runs, {one}": f"{runs}?trigger__exact={one}" for one in ("manual", "backfill")},
        "changes": changes,
        "changes, search": f"{changes}?q=report+777",
        "changes, removed": f"{changes}?kind__exact=removed",
    }


def _last(span: timedelta) -> str:
    """Return the interval of the last time, or of the next if it is negative."""
    now = datetime.now(UTC)
    return interval(*sorted((now - span, now)))


@override_settings(DEBUG=True)
def _counted(client: Client, address: str) -> int:
    reset_queries()
    response = client.get(address)
    assert response.status_code == 200, (address, response.status_code)
    return len(connection.queries)


def _ask(client: Client, address: str) -> list[float]:
    queries = _counted(client, address)
    spans = []
    with override_settings(DEBUG=False):
        for _ in range(ASKED):
            began = time.perf_counter()
            client.get(address)
            spans.append(time.perf_counter() - began)
    return [queries, 1000 * statistics.median(spans)]


def slowest_queries(address: str) -> list[Any]:
    """Return a page's queries with their seconds, to find the slow one."""
    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.get(username="bench root"))
    client.get(address)
    with override_settings(DEBUG=True):
        reset_queries()
        client.get(address)
        return sorted(((query["time"], query["sql"]) for query in connection.queries), reverse=True)
