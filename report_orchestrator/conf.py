"""The app's settings: the `REPORT_ORCHESTRATOR` dict over environment variables over defaults, parsed once.

Use `get_settings()`. It reads lazily and reloads when Django's settings change, so tests may override them. `SPECS` lists the
names of the settings, for checks and documentation.
"""

import dataclasses
import difflib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from django.conf import settings as django_settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from report_orchestrator import setting_values as kinds
from report_orchestrator.domain.printable import quoted
from report_orchestrator.exceptions import ConfigurationError
from report_orchestrator.masking import masked
from report_orchestrator.setting_values import Secret

SETTING = "REPORT_ORCHESTRATOR"
SANDBOX_URL = "http://127.0.0.1:8099"
RESULT_PLACEHOLDERS = ("workspace", "lakehouse", "path", "folder", "file")
"""Parts of the address of a result's page. `path` and `folder` begin with `Files/`."""
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})

AppEnv: TypeAlias = Literal["dev", "prod"]
Approach: TypeAlias = Literal["sensor", "schedule", "pipeline"]
MissedRuns: TypeAlias = Literal["latest", "all", "none"]
Overlap: TypeAlias = Literal["skip", "queue", "allow"]
OnUnknown: TypeAlias = Literal["resubmit", "hold"]
Origin: TypeAlias = Literal["dict", "environment", "default"]
AzureCredential: TypeAlias = Literal["client_secret", "workload_identity", "managed_identity", "default"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """The parser and default of a setting. `environment`: an environment variable of the same name is read too."""

    parse: Callable[[object], object]
    default: object = ""
    environment: bool = True


def _spec(parse: Callable[[object], object], default: object = "", *, environment: bool = True) -> Any:
    return dataclasses.field(metadata={"spec": Spec(parse=parse, default=default, environment=environment)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, parsed. A setting's name is the field's in capitals, with the suffix `_SECONDS` for an interval."""

    app_env: AppEnv = _spec(kinds.one_of("dev", "prod"), "dev")
    scheduling_approach: Approach = _spec(kinds.one_of("sensor", "schedule", "pipeline"), "sensor")

    report_model: str = _spec(kinds.text, environment=False)
    report_fields: Mapping[str, str] = _spec(kinds.mapping, {}, environment=False)
    event_models: Mapping[str, str] = _spec(kinds.mapping, {}, environment=False)
    event_fields: Mapping[str, str] = _spec(kinds.mapping, {}, environment=False)
    event_kind_field: str = _spec(kinds.text, environment=False)
    event_kinds: Mapping[str, str] = _spec(kinds.mapping, {}, environment=False)
    event_relations: Mapping[str, str] = _spec(kinds.mapping, {}, environment=False)
    event_source: str = _spec(kinds.text, environment=False)
    modifier_model: str = _spec(kinds.text, environment=False)
    modifier_fields: Mapping[str, str] = _spec(kinds.mapping, {}, environment=False)
    job_model: str = _spec(kinds.text, environment=False)
    job_fields: Mapping[str, str] = _spec(kinds.mapping, {}, environment=False)
    payload_builder: str = _spec(kinds.text, environment=False)

    fireant_api_url: str = _spec(kinds.url, SANDBOX_URL)
    fireant_api_key: Secret = _spec(kinds.secret)
    fireant_on_unknown: OnUnknown = _spec(kinds.one_of("resubmit", "hold"), "resubmit")
    fireant_max_jobs_in_flight: int = _spec(kinds.integer(), 0)
    fireant_max_submits_per_minute: int = _spec(kinds.integer(), 0)
    fireant_circuit_failures: int = _spec(kinds.integer(least=1), 3)
    fireant_probe: timedelta = _spec(kinds.seconds(least=0.1), 30)
    timeout: timedelta = _spec(kinds.seconds(least=0.1, most=3600), 30)
    max_result_bytes: int = _spec(kinds.integer(least=1, most=1024**5), 50 * 1024**3)
    result_deadline: timedelta = _spec(kinds.seconds(least=1), 21600)

    result_store: str = _spec(kinds.text, "local")
    result_root: Path = _spec(kinds.path, "var/lake")
    azure_tenant_id: str = _spec(kinds.text)
    azure_client_id: str = _spec(kinds.text)
    azure_client_secret: Secret = _spec(kinds.secret)
    azure_credential: AzureCredential = _spec(
        kinds.one_of("client_secret", "workload_identity", "managed_identity", "default"), "client_secret"
    )
    azure_authority_host: str = _spec(kinds.host)
    azure_account_name: str = _spec(kinds.account_name, "onelake")
    fabric_account_url: str = _spec(kinds.account_url)
    fabric_ca_file: str = _spec(kinds.text)
    fabric_workspace_id: str = _spec(kinds.text)
    fabric_lakehouse_id: str = _spec(kinds.text)
    fabric_results_path: str = _spec(kinds.text, "report_results")
    result_tables: bool = _spec(kinds.flag, default=False)
    result_table: str = _spec(kinds.text)
    result_page_url: str = _spec(kinds.url_template(*RESULT_PLACEHOLDERS))

    cron_sensor_interval: timedelta = _spec(kinds.seconds(least=1), 60)
    discovery_sensor_interval: timedelta = _spec(kinds.seconds(least=60), 86400)
    schedule_cron_expression: str = _spec(kinds.cron, "0 * * * *")
    schedule_interval: timedelta = _spec(kinds.seconds(least=60, most=kinds.LONGEST_SPAN), 3600)
    missed_runs: MissedRuns = _spec(kinds.one_of("latest", "all", "none"), "latest")
    overlap: Overlap = _spec(kinds.one_of("skip", "queue", "allow"), "skip")
    max_lookback: timedelta = _spec(kinds.seconds(least=60, most=kinds.LONGEST_SPAN), 86400)
    shadow: bool = _spec(kinds.flag, default=False)

    max_poll_attempts: int = _spec(kinds.integer(least=1), 120)
    poll_interval: timedelta = _spec(kinds.seconds(least=0.1), 60)
    poll_concurrency: int = _spec(kinds.integer(least=1, most=1000), 32)
    max_retries: int = _spec(kinds.integer(most=1000), 3)
    retry_backoff: timedelta = _spec(kinds.seconds(least=0.1), 10)
    lease: timedelta = _spec(kinds.seconds(least=5, most=86_400), 120)
    shutdown_grace: timedelta = _spec(kinds.seconds(), 20)
    keep_runs_days: int = _spec(kinds.integer(most=kinds.MOST_DAYS), 400)
    keep_audit_days: int = _spec(kinds.integer(most=kinds.MOST_DAYS), 400)
    keep_payloads_days: int = _spec(kinds.integer(most=kinds.MOST_DAYS), 90)

    configure_logging: bool = _spec(kinds.flag, default=True)
    log_level: str = _spec(kinds.one_of("debug", "info", "warning", "error", "critical"), "info")

    @property
    def account_url(self) -> str:
        """Return OneLake's address, as set or built from the account's name."""
        return self.fabric_account_url or f"https://{self.azure_account_name}.dfs.fabric.microsoft.com"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the secrets to mask in all output, longest first."""
        values = {secret.reveal() for secret in (self.fireant_api_key, self.azure_client_secret) if secret}
        return tuple(sorted(values, key=len, reverse=True))


def setting_name(field_name: str, spec: Spec) -> str:
    """`poll_interval` -> `POLL_INTERVAL_SECONDS`."""
    suffix = "_SECONDS" if spec.parse.__qualname__.startswith("seconds.") else ""
    return field_name.upper() + suffix


FIELDS: Mapping[str, str] = {
    setting_name(field.name, field.metadata["spec"]): field.name for field in dataclasses.fields(Settings)
}
"""Fields of `Settings` by setting name."""

SPECS: Mapping[str, Spec] = {
    setting_name(field.name, field.metadata["spec"]): field.metadata["spec"] for field in dataclasses.fields(Settings)
}
"""Specifications by setting name."""

OPERATIONAL = tuple(name for name, spec in SPECS.items() if spec.environment)
"""The settings that may come from environment variables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingProblem:
    """An invalid setting. `message` names it and never contains a secret."""

    setting: str
    message: str
    hint: str


def host_dict() -> Mapping[str, object]:
    """Return the host's `REPORT_ORCHESTRATOR`, or an empty dict if it is not a dict."""
    configured = getattr(django_settings, SETTING, {})
    return cast("Mapping[str, object]", configured) if isinstance(configured, Mapping) else {}


def unknown_keys() -> list[SettingProblem]:
    """Return the unknown keys of the dict, each with the most similar setting."""
    return [_unknown_key(key) for key in host_dict() if key not in SPECS]


def _unknown_key(key: object) -> SettingProblem:
    hint = did_you_mean(str(key).upper(), SPECS).strip() or f"The keys are: {', '.join(sorted(SPECS))}."
    return SettingProblem(setting=str(key), message=f"{SETTING} has no key {quoted(str(key))}.", hint=hint)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?`, or an empty text without a near match."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{near[0]}'?" if near else ""


def parse_settings(
    given: Mapping[str, object], environment: Mapping[str, str]
) -> tuple[Settings, list[SettingProblem]]:
    """Return settings from a dict over an environment over defaults. Invalid ones get their default and are listed."""
    values: dict[str, object] = {}
    unreadable: list[tuple[str, object, ValueError, Origin]] = []
    for name, spec in SPECS.items():
        raw = _raw(name, spec, given, environment)
        try:
            values[FIELDS[name]] = _parsed(spec, raw)
        except ValueError as error:
            values[FIELDS[name]] = spec.parse(spec.default)
            origin: Origin = "dict" if given.get(name) is not None else "environment"
            unreadable.append((name, raw, error, origin))
    parsed = Settings(**cast("dict[str, Any]", values))
    return parsed, [_unreadable(*entry, parsed) for entry in unreadable]


def _environment_value(spec: Spec, value: str) -> str:
    """Return an environment variable's value without a comment. A secret may begin with `#`: a comment has blanks."""
    is_secret = spec.parse is kinds.secret and value.strip() != "#" and len(value.split()) == 1
    return value.strip() if is_secret and value.strip().startswith("#") else kinds.without_comment(value)


def _parsed(spec: Spec, raw: object) -> object:
    try:
        return spec.parse(raw)
    except ValueError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the value is: a traceback would show all settings
        raise ValueError(f"it cannot be read ({type(error).__name__})") from None


def _raw(name: str, spec: Spec, given: Mapping[str, object], environment: Mapping[str, str]) -> object:
    if given.get(name) is not None:
        return given[name]
    value = environment.get(name, "") if spec.environment else ""
    uncommented = _environment_value(spec, value)
    if not uncommented:
        return spec.default
    # The parser of a URL cuts a comment itself: what looks like one may be within a password, which only `@` ends.
    return value if spec.parse in kinds.URLS else uncommented


def with_comments() -> list[str]:
    """Return the settings of the dict whose text or path may end with a comment, since its `#` follows a blank."""
    parsers = (kinds.text, kinds.path, kinds.secret)
    values = {name: host_dict().get(name) for name, spec in SPECS.items() if spec.parse in parsers}
    return [name for name, value in values.items() if kinds.COMMENT.search(_plain(value))]


def _plain(value: object) -> str:
    return value.reveal() if isinstance(value, Secret) else str(value or "")


def origin_of(name: str) -> Origin:
    """Return the source of a setting's value in this process, in the order of `parse_settings`."""
    if host_dict().get(name) is not None:
        return "dict"
    if SPECS[name].environment and _environment_value(SPECS[name], os.environ.get(name, "")):
        return "environment"
    return "default"


_USER = re.compile(r"(?s)^([a-z]+://)?.*@", re.IGNORECASE)


def _unreadable(name: str, raw: object, error: ValueError, origin: Origin, parsed: Settings) -> SettingProblem:
    """Describe an invalid value. Secrets are masked, even in a setting where they do not belong.

    An invalid URL cannot be split into its parts, so everything before its last @ is masked.
    """
    if SPECS[name].parse in kinds.URLS:
        raw = _USER.sub(r"\1***@", raw) if isinstance(raw, str) else raw
    shown = "" if SPECS[name].parse is kinds.secret else f" It is {_shown(raw, parsed.secrets)}."
    return SettingProblem(
        setting=name,
        message=f"{name} is invalid: {masked(str(error), parsed.secrets)}.{shown}",
        hint=(
            f"Correct the environment variable {name}. If it belongs to another program, set {name} in {SETTING}, which wins."
            if origin == "environment"
            else f"Correct {name} in {SETTING}, or remove it for the default."
        ),
    )


def _shown(raw: object, secrets: tuple[str, ...]) -> str:
    try:
        return masked(repr(raw), secrets)[:100]
    except Exception:  # noqa: BLE001 - an object of the host's, or a number with too many digits
        return f"a value of the type {type(raw).__name__}"


@lru_cache(maxsize=1)
def load_settings() -> tuple[Settings, tuple[SettingProblem, ...]]:
    """Return the settings and their problems."""
    parsed, problems = parse_settings(host_dict(), os.environ)
    return parsed, (*unknown_keys(), *problems)


def current_secrets() -> tuple[str, ...]:
    """Return the secrets to mask in all output, even while other settings are invalid."""
    return load_settings()[0].secrets


def get_settings() -> Settings:
    """Return the settings.

    Raises:
        ConfigurationError: a setting is invalid; the message names all that are.
    """
    parsed, problems = load_settings()
    if problems:
        raise ConfigurationError(" ".join(f"{problem.message} {problem.hint}" for problem in problems))
    return parsed


def _forget(*, setting: str, **_kwargs: object) -> None:
    if setting == SETTING:
        load_settings.cache_clear()


setting_changed.connect(_forget, dispatch_uid="report_orchestrator.conf")


def imported(setting: str, dotted: str) -> Callable[..., Any]:
    """Return the callable that a setting names by dotted path.

    Raises:
        ConfigurationError: it cannot be imported or called.
    """
    try:
        target = import_string(dotted)
    except ImportError as error:
        raise ConfigurationError(f"{setting} is '{dotted}', which cannot be imported: {error}") from error
    if not callable(target):
        raise ConfigurationError(f"{setting} is '{dotted}', which is not callable.")
    return cast("Callable[..., Any]", target)
