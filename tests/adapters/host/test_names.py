"""A model or field that the host lacks is named with its setting."""

from __future__ import annotations

import pytest

from report_orchestrator.adapters.host.fields import resolve_model
from report_orchestrator.adapters.host.modifiers import HostModifiers
from report_orchestrator.exceptions import ConfigurationError
from tests.host.api import models as host
from tests.support.host_rows import WHOLE_HOST, jobs_of, reports_of
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db(databases=["default", "reports"])


class TestNames:
    @pytest.mark.parametrize(
        ("label", "says"),
        [
            ("", "REPORT_MODEL is not set. Set it to 'api.Report'."),
            ("api.Reprot", "is 'api.Reprot', which is not an installed model. Did you mean 'api.Report'?"),
            ("nowhere.Nothing", "is 'nowhere.Nothing', which is not an installed model."),
            ("Report", "is 'Report', which is not an installed model. Did you mean 'api.Report'?"),
            ("a.b.c", "is 'a.b.c', which is not an installed model."),
        ],
    )
    def test_a_model_that_is_not_there_is_reported_by_its_setting(self, label: str, says: str) -> None:
        with pytest.raises(ConfigurationError) as refusal:
            resolve_model(label, "REPORT_MODEL")
        assert refusal.value.message.startswith("REPORT_MODEL ")
        assert says in refusal.value.message

    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"cron": "crn"}, "api.Report has no field 'crn' for 'cron'. Did you mean 'cron'?"),
            (
                {"updated": "updatd"},
                "Did you mean 'updated'? Map it in REPORT_FIELDS, as {'updated': 'updated'}, or leave",
            ),
            ({"event_group": "event_group__nothing"}, "has no field 'event_group__nothing'"),
            ({"event_group": "peril"}, "api.Report.peril is a CharField, but 'event_group' takes a ForeignKey"),
            ({"name": "peril__label"}, "has no field 'peril__label' for 'name'."),
        ],
    )
    def test_a_field_that_is_not_there_is_reported_with_the_one_that_was_meant(
        self, fields: dict[str, str], says: str
    ) -> None:
        with pytest.raises(ConfigurationError) as refusal:
            reports_of(REPORT_FIELDS=fields).verify()
        assert says in refusal.value.message

    def test_a_field_that_the_host_need_not_have_may_be_missing(self) -> None:
        paths = HostModifiers.of(host.Report, SettingsFactory.make(**WHOLE_HOST)).paths
        assert paths == {"as_at_date": "as_at_date", "fx_date": "fx_date", "reports": "reports"}
        jobs_of().verify()
