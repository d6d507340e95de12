"""Resolve the host's models and fields, with errors that name the wrong setting, the field and the accepted types."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db.models import CompositePrimaryKey, Field, ForeignObjectRel, GeneratedField, Model

from report_orchestrator.adapters.host.rules import FieldRule
from report_orchestrator.conf import did_you_mean
from report_orchestrator.exceptions import ConfigurationError


def resolve_model(label: str, setting: str) -> type[Model]:
    """Return the model named by a setting.

    Raises:
        ConfigurationError: there is no such model.
    """
    if not label:
        raise ConfigurationError(f"{setting} is not set. Set it to '{likely_report_model()}'.")
    try:
        return apps.get_model(label)
    except (LookupError, ValueError) as error:
        labels = _labels_of(label.rpartition(".")[2]) or [model._meta.label for model in apps.get_models()]
        advice = f" Did you mean '{labels[0]}'?" if len(labels) == 1 else did_you_mean(label, labels)
        raise ConfigurationError(f"{setting} is '{label}', which is not an installed model.{advice}") from error


def likely_report_model() -> str:
    """Return the label of the host's only model named `Report`, or an example."""
    [label, *others] = _labels_of("Report") or ["app_label.ModelName"]
    return "app_label.ModelName" if others else label


def _labels_of(name: str) -> list[str]:
    """Return the labels of the models with this class name, in any case."""
    return [model._meta.label for model in apps.get_models() if model.__name__.lower() == name.lower()]


def refuse_composite_key(model: type[Model], setting: str) -> None:
    """Raise `ConfigurationError` if the model's key has several columns: our rows name a row by one value."""
    if isinstance(model._meta.pk, CompositePrimaryKey):
        raise ConfigurationError(
            f"{model._meta.label} has a CompositePrimaryKey; a primary key of one column is accepted. "
            f"Name another model in {setting}."
        )


def field_named(model: type[Model], path: str) -> Field[Any, Any]:
    """Return the field at the end of a path such as `scope__group`.

    Raises:
        FieldDoesNotExist: a part of the path is no field.
        ConfigurationError: a part before the last leads to many rows.
    """
    *relations, last = path.split("__")
    for name in relations:
        relation = model._meta.get_field(name)
        if relation.one_to_many or relation.many_to_many:
            raise ConfigurationError(
                f"{model._meta.label}.{name} is a {describe_type(relation)}: the path '{path}' leads to many rows."
            )
        related = relation.related_model
        if not isinstance(related, type):
            raise FieldDoesNotExist(f"{model._meta.label}.{name} is not a relation to another model")
        model = related
    return model._meta.get_field(last)  # type: ignore[return-value]  # relations are accepted too


def describe_type(field: object) -> str:
    """Return a field's type for messages; for the other end of a relation also the field that declares it."""
    name = type(field).__name__
    if isinstance(field, ForeignObjectRel):
        return f"{name} (the other end of {field.related_model._meta.label}.{field.field.name})"
    return name


def resolve_paths(
    model: type[Model], rules: Mapping[str, FieldRule], renamed: Mapping[str, str], setting: str
) -> Mapping[str, str]:
    """Map our names to paths of the host's fields, without optional ones that the host lacks or leaves out.

    Raises:
        ConfigurationError: a field is missing, leads to many rows, or has a type that its name does not take. The
            message names all such fields.
    """
    paths: dict[str, str] = {}
    problems = []
    for name, rule in rules.items():
        path = renamed.get(name, name if rule.default is None else rule.default)
        try:
            if _is_found(model, name, path, rule, is_named=bool(renamed.get(name))):
                _refuse_unfit(model, name, path, rule)
                paths[name] = path
        except ConfigurationError as error:
            leave_out = "" if rule.required and not rule.may_be_left_out else f", or leave it out with {{'{name}': ''}}"
            likely = _likely_field(model, name, rule)
            problems.append(f"{error.message} Map it in {setting}, as {{'{name}': '{likely}'}}{leave_out}.")
    if problems:
        raise ConfigurationError(" ".join(problems))
    return paths


def _likely_field(model: type[Model], name: str, rule: FieldRule) -> str:
    """Return the field that a name most likely means, for advice: by similar words, or the only relation that fits."""
    fitting = [field.name for field in model._meta.get_fields() if rule.accepted.takes(field)]
    words = (name, *rule.synonyms, *(word for word in name.split("_") if len(word) > 3))  # not "is", "as"
    named = [field for word in words for field in fitting if word in field]
    if len(fitting) == 1 and rule.accepted.relations:
        named += fitting
    return next(iter(named), "…")


def resolve_field(model: type[Model], name: str, path: str, rule: FieldRule, setting: str) -> Field[Any, Any]:
    """Return the field of a setting that names one field.

    Raises:
        ConfigurationError: it is missing, leads to many rows, or has a type that its name does not take.
    """
    try:
        _is_found(model, name, path, rule, is_named=True)
        _refuse_unfit(model, name, path, rule)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error.message} Correct {setting}.") from error
    return field_named(model, path)


def _is_found(model: type[Model], name: str, path: str, rule: FieldRule, *, is_named: bool) -> bool:
    """Return False if the host lacks an optional field, or leaves it out."""
    label = model._meta.label
    if not path and (rule.may_be_left_out or not rule.required):
        return False
    try:
        field_named(model, path)
    except FieldDoesNotExist as error:
        if rule.required or is_named:
            known = [field.name for field in model._meta.get_fields()]
            message = f"{label} has no field '{path}' for '{name}'.{did_you_mean(path, known)}"
            raise ConfigurationError(message) from error
        attribute = inspect.getattr_static(model, path, None)
        if attribute is not None and not rule.written:  # the host means it, and it would be ignored
            raise ConfigurationError(
                f"{label}.{path} is a {type(attribute).__name__} of the class, but '{name}' takes {rule.accepted.words}."
            ) from error
        return False
    return True


def _refuse_unfit(model: type[Model], name: str, path: str, rule: FieldRule) -> None:
    field = field_named(model, path)
    if not rule.accepted.takes(field):
        raise ConfigurationError(
            f"{model._meta.label}.{path} is a {describe_type(field)}, but '{name}' takes {rule.accepted.words}."
        )
    if rule.written and ("__" in path or isinstance(field, GeneratedField)):
        raise ConfigurationError(
            f"{model._meta.label}.{path} cannot be written: '{name}' takes {rule.accepted.words} of the model itself."
        )
