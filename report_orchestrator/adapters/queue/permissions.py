"""Count the users who may put any Python function into Django-Q's schedule table, and so run it in a worker."""

from django.apps import apps

from report_orchestrator.ports import ProbeResult

RUN_ANY_FUNCTION = ("django_q.add_schedule", "django_q.change_schedule")


def probe_permissions() -> ProbeResult:
    """Count the active users who have one of these permissions. Superusers, who may do anything, are not counted."""
    not_checked = ProbeResult(detail="not checked: the user model does not use Django's permissions")
    if not apps.is_installed("django.contrib.auth"):
        return not_checked
    from django.contrib.auth import get_user_model  # these need the app
    from django.contrib.auth.backends import ModelBackend
    from django.contrib.auth.models import PermissionsMixin

    if not issubclass(get_user_model(), PermissionsMixin):
        return not_checked
    backend = ModelBackend()
    permitted = {
        user.pk
        for permission in RUN_ANY_FUNCTION
        for user in backend.with_perm(permission, include_superusers=False).only("pk")
    }
    if not permitted:
        return ProbeResult(detail="only superusers may change Django-Q's schedules")
    return ProbeResult(
        detail=f"users who may change Django-Q's schedules, besides superusers: {len(permitted)}",
        doubt=f"Each of them can run any Python function in a worker. Revoke {' and '.join(RUN_ANY_FUNCTION)}.",
    )
