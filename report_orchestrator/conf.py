"""The app's settings: the `REPORT_ORCHESTRATOR` dict over environment variables over defaults, parsed once.

`get_settings()` is the only door. It is read lazily and forgotten when Django's settings change, so tests may override it.
Each field of `Settings` says under which name it is set; `SPECS` is that list, for checks and documentation.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast
from urllib.parse import urlsplit

import environ
from django.conf import settings as django_settings
from django.core.signals import setting_changed

from report_orchestrator.domain.cron import parse_cron
from report_orchestrator.exceptions import ConfigurationError, InvalidCronError
from report_orchestrator.masking import masked, masked_beginning

SETTING = "REPORT_ORCHESTRATOR"
SANDBOX_URL = "http://127.0.0.1:8099"

AppEnv: TypeAlias = Literal["dev", "prod"]
Approach: TypeAlias = Literal["sensor", "schedule", "pipeline"]
MissedRuns: TypeAlias = Literal["latest", "all", "none"]
Overlap: TypeAlias = Literal["skip", "queue", "allow"]
OnUnknown: TypeAlias = Literal["resubmit", "hold"]
Origin: TypeAlias = Literal["dict", "environment", "default"]
AzureCredential: TypeAlias = Literal["client_secret", "workload_identity", "managed_identity", "default"]


class Secret:
    """A value that no repr, log line or traceback shows. `reveal()` is for the one place that must send it."""

    __slots__ = ("_value",)

    def __init__(self, value: str = "") -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself. Never log, store or format it."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "Secret('***')" if self._value else "Secret('')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


def without_comment(value: str) -> str:
    """An environment variable's value without a trailing `  # comment`; `#` inside a word or in quotes belongs to the value."""
    stripped = value.strip()
    if stripped[:1] in {"'", '"'}:
        closing = stripped.find(stripped[0], 1)
        rest = stripped[closing + 1 :].strip()
        if closing > 0 and (not rest or rest.startswith("#")):
            return stripped[1:closing]
    if stripped.startswith("#"):
        return ""
    return re.split(r"\s+#", stripped, maxsplit=1)[0].strip()


def _text(raw: object) -> str:
    return raw.strip() if isinstance(raw, str) else str(raw)


def _secret(raw: object) -> Secret:
    return raw if isinstance(raw, Secret) else Secret(_text(raw))


def _number(*, least: float = 0) -> Callable[[object], float]:
    def parse(raw: object) -> float:
        try:
            number = float(_text(raw))
        except ValueError:
            raise ValueError("it must be a number") from None
        if not least <= number < float("inf"):
            raise ValueError(f"it must be {least:g} or more")
        return number

    return parse


def _whole(*, least: int = 0) -> Callable[[object], int]:
    def parse(raw: object) -> int:
        number = _number(least=least)(raw)
        if number != int(number):
            raise ValueError("it must be a whole number")
        return int(number)

    return parse


def _seconds(*, least: float = 0) -> Callable[[object], timedelta]:
    def parse(raw: object) -> timedelta:
        if isinstance(raw, timedelta):
            raw = raw.total_seconds()
        return timedelta(seconds=_number(least=least)(raw))

    return parse


def _one_of(*words: str) -> Callable[[object], str]:
    def parse(raw: object) -> str:
        word = _text(raw).lower()
        if word not in words:
            raise ValueError(f"it must be one of {', '.join(words)}")
        return word

    return parse


def _flag(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    word = _text(raw).lower()
    if word not in {*environ.Env.BOOLEAN_TRUE_STRINGS, "false", "off", "no", "n", "0"}:
        raise ValueError("it must be true or false")
    return word in environ.Env.BOOLEAN_TRUE_STRINGS


def _mapping(raw: object) -> Mapping[str, str]:
    if not isinstance(raw, Mapping):
        raise ValueError("it must be a dict of texts")  # noqa: TRY004 - read as a wrong value, like all others
    return {str(name): str(value) for name, value in raw.items()}


_USER = re.compile(r"(?s)^([a-z]+://)?.*@", re.IGNORECASE)


def _url(raw: object) -> str:
    url = _text(raw).rstrip("/")
    if url and (urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname):
        raise ValueError("it must be an address that begins with https:// or http://")
    if urlsplit(url).username or urlsplit(url).password:
        raise ValueError("it must not hold a user name or password")
    try:
        urlsplit(url).port  # noqa: B018 - read when it is asked for
    except ValueError:
        raise ValueError("its port must be a number up to 65535") from None
    return url


def _cron(raw: object) -> str:
    try:
        return parse_cron(_text(raw)).expression
    except InvalidCronError as error:
        raise ValueError(error.message) from error


def _path(raw: object) -> Path:
    return raw if isinstance(raw, Path) else Path(_text(raw)).expanduser()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """How one setting is read. `environment` tells whether a variable of the same name is read too."""

    parse: Callable[[object], object]
    default: object = ""
    environment: bool = True


def _spec(parse: Callable[[object], object], default: object = "", *, environment: bool = True) -> Any:
    return dataclasses.field(metadata={"spec": Spec(parse=parse, default=default, environment=environment)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, parsed. A field's name in capitals is the setting's name, with `_SECONDS` behind it for an interval."""

    app_env: AppEnv = _spec(_one_of("dev", "prod"), "dev")
    scheduling_approach: Approach = _spec(_one_of("sensor", "schedule", "pipeline"), "sensor")

    report_model: str = _spec(_text, environment=False)
    report_fields: Mapping[str, str] = _spec(_mapping, {}, environment=False)
    event_models: Mapping[str, str] = _spec(_mapping, {}, environment=False)
    event_fields: Mapping[str, str] = _spec(_mapping, {}, environment=False)
    modifier_model: str = _spec(_text, environment=False)
    modifier_fields: Mapping[str, str] = _spec(_mapping, {}, environment=False)
    job_model: str = _spec(_text, environment=False)
    job_fields: Mapping[str, str] = _spec(_mapping, {}, environment=False)
    payload_builder: str = _spec(_text, environment=False)

    fireant_api_url: str = _spec(_url, SANDBOX_URL)
    fireant_api_key: Secret = _spec(_secret)
    fireant_on_unknown: OnUnknown = _spec(_one_of("resubmit", "hold"), "resubmit")
    fireant_max_jobs_in_flight: int = _spec(_whole(), 0)
    fireant_max_submits_per_minute: int = _spec(_whole(), 0)
    fireant_circuit_failures: int = _spec(_whole(least=1), 3)
    fireant_probe: timedelta = _spec(_seconds(least=0.1), 30)
    timeout: timedelta = _spec(_seconds(least=0.1), 30)
    max_result_bytes: int = _spec(_whole(least=1), 50 * 1024**3)
    result_deadline: timedelta = _spec(_seconds(least=1), 21600)

    result_store: str = _spec(_text, "local")
    result_root: Path = _spec(_path, "var/lake")
    azure_tenant_id: str = _spec(_text)
    azure_client_id: str = _spec(_text)
    azure_client_secret: Secret = _spec(_secret)
    azure_credential: AzureCredential = _spec(
        _one_of("client_secret", "workload_identity", "managed_identity", "default"), "client_secret"
    )
    azure_authority_host: str = _spec(_text)
    azure_account_name: str = _spec(_text, "onelake")
    fabric_account_url: str = _spec(_url)
    fabric_ca_file: str = _spec(_text)
    fabric_workspace_id: str = _spec(_text)
    fabric_lakehouse_id: str = _spec(_text)
    fabric_results_path: str = _spec(_text, "report_results")
    result_tables: bool = _spec(_flag, default=False)

    cron_sensor_interval: timedelta = _spec(_seconds(least=1), 60)
    discovery_sensor_interval: timedelta = _spec(_seconds(least=60), 86400)
    schedule_cron_expression: str = _spec(_cron, "0 * * * *")
    schedule_interval: timedelta = _spec(_seconds(least=60), 3600)
    missed_runs: MissedRuns = _spec(_one_of("latest", "all", "none"), "latest")
    overlap: Overlap = _spec(_one_of("skip", "queue", "allow"), "skip")
    max_lookback: timedelta = _spec(_seconds(least=60), 86400)

    max_poll_attempts: int = _spec(_whole(least=1), 120)
    poll_interval: timedelta = _spec(_seconds(least=0.1), 60)
    poll_concurrency: int = _spec(_whole(least=1), 32)
    max_retries: int = _spec(_whole(), 3)
    retry_backoff: timedelta = _spec(_seconds(least=0.1), 10)
    lease: timedelta = _spec(_seconds(least=5), 120)
    shutdown_grace: timedelta = _spec(_seconds(), 20)
    keep_runs_days: int = _spec(_whole(), 400)
    keep_payloads_days: int = _spec(_whole(), 90)

    configure_logging: bool = _spec(_flag, default=True)
    log_level: str = _spec(_one_of("debug", "info", "warning", "error", "critical"), "info")

    @property
    def account_url(self) -> str:
        """OneLake's address: as set, or built from the account's name."""
        return self.fabric_account_url or f"https://{self.azure_account_name}.dfs.fabric.microsoft.com"

    @property
    def secrets(self) -> tuple[str, ...]:
        """The settings' own secrets, which must be masked wherever they might surface; the longest first."""
        values = {secret.reveal() for secret in (self.fireant_api_key, self.azure_client_secret) if secret}
        return tuple(sorted(values, key=len, reverse=True))

    def masked(self, text: str) -> str:
        """The text with every secret of the settings replaced by `***`, however it is escaped or encoded."""
        return masked(text, self.secrets)

    def masked_beginning(self, text: str) -> str:
        """The same for the beginning of a longer text, which may have been cut within a secret."""
        return masked_beginning(text, self.secrets)


def setting_name(field_name: str, spec: Spec) -> str:
    """`poll_interval` -> `POLL_INTERVAL_SECONDS`."""
    suffix = "_SECONDS" if spec.parse.__qualname__.startswith("_seconds.") else ""
    return field_name.upper() + suffix


FIELDS: Mapping[str, str] = {
    setting_name(field.name, field.metadata["spec"]): field.name for field in dataclasses.fields(Settings)
}
"""Settings' names -> the fields of `Settings`."""

SPECS: Mapping[str, Spec] = {
    setting_name(field.name, field.metadata["spec"]): field.metadata["spec"]
    for field in dataclasses.fields(Settings)
}
"""Settings' names -> how each is read."""

OPERATIONAL = tuple(name for name, spec in SPECS.items() if spec.environment)
"""The settings that an environment variable may give."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingProblem:
    """A setting that cannot be used. `message` names it and never shows a secret's value."""

    setting: str
    message: str
    hint: str


def host_dict() -> Mapping[str, object]:
    """The host's `REPORT_ORCHESTRATOR` as it stands, or an empty dict where it is not a dict."""
    configured = getattr(django_settings, SETTING, {})
    return cast("Mapping[str, object]", configured) if isinstance(configured, Mapping) else {}


def unknown_keys() -> list[SettingProblem]:
    """Keys of the dict that no setting has, each with the likeliest one meant."""
    return [_unknown_key(key) for key in host_dict() if key not in SPECS]


def _unknown_key(key: object) -> SettingProblem:
    near = difflib.get_close_matches(str(key).upper(), SPECS, n=1, cutoff=0.6)
    hint = f"Did you mean '{near[0]}'?" if near else f"The keys are: {', '.join(sorted(SPECS))}."
    return SettingProblem(setting=str(key), message=f"{SETTING} has no key '{key}'.", hint=hint)


def parse_settings(
    given: Mapping[str, object], environment: Mapping[str, str]
) -> tuple[Settings, list[SettingProblem]]:
    """Settings from a dict over an environment over the defaults; what cannot be read falls back to its default and is listed."""
    values: dict[str, object] = {}
    unreadable: list[tuple[str, object, ValueError]] = []
    for name, spec in SPECS.items():
        raw = _raw(name, spec, given, environment)
        try:
            values[FIELDS[name]] = spec.parse(raw)
        except ValueError as error:
            values[FIELDS[name]] = spec.parse(spec.default)
            unreadable.append((name, raw, error))
    parsed = Settings(**cast("dict[str, Any]", values))
    return parsed, [_unreadable(*each, parsed) for each in unreadable]


def _raw(name: str, spec: Spec, given: Mapping[str, object], environment: Mapping[str, str]) -> object:
    if given.get(name) is not None:
        return given[name]
    if spec.environment:
        return without_comment(environment.get(name, "")) or spec.default
    return spec.default


def origin_of(name: str) -> Origin:
    """Where a setting's value comes from in this process, by the order in which `parse_settings` looks."""
    if host_dict().get(name) is not None:
        return "dict"
    if SPECS[name].environment and without_comment(os.environ.get(name, "")):
        return "environment"
    return "default"


def _unreadable(name: str, raw: object, error: ValueError, parsed: Settings) -> SettingProblem:
    """Shows the wrong value, but for a secret's: neither its own setting nor any other into which it was put.

    An address that cannot be read cannot be masked by its parts either: all before its last @ is taken for a password.
    """
    if SPECS[name].parse is _url:
        raw = _USER.sub(r"\1***@", str(raw))
    shown = "" if SPECS[name].parse is _secret else f" It is {parsed.masked(repr(raw))[:100]}."
    return SettingProblem(
        setting=name,
        message=f"{name} cannot be read: {parsed.masked(str(error))}.{shown}",
        hint=f"Set {name} in {SETTING} or in the environment, or remove it for the default.",
    )


@lru_cache(maxsize=1)
def load_settings() -> tuple[Settings, tuple[SettingProblem, ...]]:
    """The settings and everything that is wrong with them, for the system checks."""
    parsed, problems = parse_settings(host_dict(), os.environ)
    return parsed, (*unknown_keys(), *problems)


def get_settings() -> Settings:
    """The settings.

    Raises:
        ConfigurationError: one cannot be read; the message names all of them. Run `manage.py check` for the hints.
    """
    parsed, problems = load_settings()
    if problems:
        raise ConfigurationError(" ".join(f"{problem.message} {problem.hint}" for problem in problems))
    return parsed


def _forget(*, setting: str, **_kwargs: object) -> None:
    if setting == SETTING:
        load_settings.cache_clear()


setting_changed.connect(_forget, dispatch_uid="report_orchestrator.conf")
