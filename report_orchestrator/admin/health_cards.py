"""The health of scheduler, workers, Fireant and the lake: a sign, a word, since when, and what to do."""

from __future__ import annotations

from dataclasses import dataclass, replace

from django.utils.translation import gettext

from report_orchestrator.admin.display import Sign
from report_orchestrator.admin.words import away, number
from report_orchestrator.domain.runs import Step
from report_orchestrator.services.reading.causes import Cause
from report_orchestrator.services.reading.dashboard import Dashboard
from report_orchestrator.services.reading.vitals import Pulse

GOOD, WARN, BAD = Sign("✓", "good"), Sign("!", "warn"), Sign("✗", "bad")
UNKNOWN = Sign("?", "quiet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One part of the whole. `advice` is empty where nobody has to do anything."""

    name: str
    sign: Sign
    word: str
    detail: str
    advice: str = ""


def cards(found: Dashboard) -> list[Card]:
    """All four, in the order in which a report passes them."""
    return [_scheduler(found), _workers(found), _fireant(found), _lake(found)]


def _scheduler(found: Dashboard) -> Card:
    """A pause stops no tick, so a scheduler that is silent is told while all reports are paused, too."""
    card = _heard(
        gettext("Scheduler"),
        found.scheduler,
        found,
        gettext("Restart qcluster: nobody decides what is due."),
    )
    if found.pause is None or card.sign is not GOOD:
        return card
    by = gettext("by a person, for all reports")
    return replace(card, sign=WARN, word=gettext("paused"), detail=f"{by}; {card.detail}")


def _workers(found: Dashboard) -> Card:
    return _heard(
        gettext("Workers"), found.workers, found, gettext("Restart qcluster: no worker is at work on a tick.")
    )


def _heard(name: str, pulse: Pulse, found: Dashboard, advice: str) -> Card:
    if pulse.heard_at is None:
        return Card(
            name=name,
            sign=BAD,
            word=gettext("never heard of"),
            detail=gettext("no sign of it yet"),
            advice=gettext("Start it with: python manage.py qcluster"),
        )
    heard = gettext("last heard of {ago}").format(ago=away(pulse.heard_at, found.now))
    if pulse.is_well(found.now):
        return Card(name=name, sign=GOOD, word=gettext("well"), detail=heard)
    if pulse.heard_at > found.now:
        return Card(name=name, sign=BAD, word=gettext("clock set back"), detail=heard, advice=advice)
    return Card(name=name, sign=BAD, word=gettext("silent"), detail=heard, advice=advice)


def _fireant(found: Dashboard) -> Card:
    circuit, name = found.circuit, gettext("Fireant")
    if circuit.probe_at is not None:
        return Card(
            name=name,
            sign=BAD,
            word=gettext("taken to be down"),
            detail=gettext("{count} failures in a row; tried again {when}").format(
                count=number(circuit.failures), when=away(max(circuit.probe_at, found.now), found.now)
            ),
            advice=gettext("Runs wait for it and lose nothing. Ask whoever runs Fireant."),
        )
    if circuit.failures:
        return Card(
            name=name,
            sign=WARN,
            word=gettext("shaky"),
            detail=gettext("{count} failures in a row").format(count=number(circuit.failures)),
        )
    if found.work.delivered_at is None and not found.flight.jobs_in_fireant:
        return Card(name=name, sign=UNKNOWN, word=gettext("not known"), detail=gettext("not asked yet"))
    return Card(name=name, sign=GOOD, word=gettext("answers"), detail=gettext("as far as is known"))


def _lake(found: Dashboard) -> Card:
    name, again = gettext("Lake"), found.flight.storing_again
    stopped = sum(cause.count for cause in found.stopped.causes if _is_newer_than_delivery(found, cause))
    delivered = found.work.delivered_at
    last = (
        gettext("last result stored {ago}").format(ago=away(min(delivered, found.now), found.now))
        if delivered is not None
        else gettext("no result stored yet")
    )
    if again or stopped:
        return Card(
            name=name,
            sign=BAD if stopped else WARN,
            word=gettext("refuses results"),
            detail=gettext("{count} could not be stored; {last}").format(
                count=number(again + stopped), last=last
            ),
            advice=gettext(
                "Look at the error of one of them: it names the setting or the right that is missing."
            ),
        )
    if delivered is None:
        return Card(name=name, sign=UNKNOWN, word=gettext("not known"), detail=last)
    return Card(name=name, sign=GOOD, word=gettext("takes results"), detail=last)


def _is_newer_than_delivery(found: Dashboard, cause: Cause) -> bool:
    """A failure to store that no stored result has followed."""
    delivered = found.work.delivered_at
    return cause.step is Step.RESULTS_STORAGE and (delivered is None or cause.last_at > delivered)
