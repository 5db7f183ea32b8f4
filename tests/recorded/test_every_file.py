"""Every recorded answer is read by a test, or stands here with the reason why no dataset reads it."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.recorded import recorded

HERE = Path(__file__).parent
README = Path(__file__).parents[2] / "README.md"
NOT_READ = {
    "caiso": {
        "daily_renewables_watch_*": "the page is no longer served",
        "ene_loss_*": "losses, of which there is no dataset",
        "ene_slrs_*": "totals of schedules, of which there is no dataset",
        "outlook_rtm_forecast_7day_*": "demand of the Outlook: other facts than the load of OASIS",
    },
    "miso": {
        "df_al_*": "other zones than the Data Exchange's",
        "dx_lgi-*_generation_*": "generation of the Data Exchange, by region or hour: other facts than the fuel mix",
        "dx_lgi-*_interchange_*": "no dataset",
        "dx_lgi-*_outage_*": "no dataset",
        "dx_lgi-real_time_date_binding_constraint_*": "no dataset",
        "public_getace_*": "no dataset",
        "public_getbindingconstraints*": "no dataset",
        "public_getcoordinatedtransactionscheduling_*": "no dataset",
        "public_getcsat*": "no dataset",
        "public_getgenerationoutages*": "no dataset",
        "public_getinterchange*": "no dataset",
        "public_getmarketpricinggetancillaryservicesmcp_*": "other places and services than the Data Exchange's",
        "public_getmarketpricinggetexantelmp_*": "real-time ex-ante prices, of which there is no dataset",
        "public_getmarketpricinggetlmpconsolidatedtable_*": "does not say whether its prices are preliminary",
        "public_getrealtimersgcommitments_*": "no dataset",
        "public_getrealtimetotalload_*": "five minutes of other zones than the Data Exchange's",
        "public_getregionaldirectionaltransfer_*": "no dataset",
        "public_getsnapshot_*": "no dataset",
    },
    "pjm": {
        "da_transconstraints_*": "no dataset",
        "five_min_wind_power_forecast_*": "no dataset",
        "rt_marginal_value_*": "no dataset",
        "solar_gen_*": "no dataset",
    },
    "isone": {
        "csv_hb*energyoffer_*": "no dataset",
        "ws_*_info_*": "when a resource was last written, and nothing of what it holds",
        "ws_*hourlyoperatingreserve_current_*": "empty whenever it was asked for",
        "ws_actualinterchange_*": "no dataset",
        "ws_daasstrikeprices_*": "no dataset",
        "ws_dayaheadconstraints_*": "no dataset",
        "ws_fifteenminutelmp_*": "empty whenever it was asked for",
        "ws_morningreport_*": "no dataset",
        "ws_sevendayforecast_*": "no dataset",
        "wsclient_*": "the dashboard's own feed, which says under other names what a service says",
    },
    "ercot": {
        "dashboard_energy-storage-resources_*": "net of charging: other facts than the fuel mix",
        "dashboard_system-wide-demand_*": "26 hours, of what NP6-345 has whole days of",
        "legacy_real_time_system_conditions.html": "the page is no longer served",
        "native_load_*": "a workbook of a year",
        "np3-911-er_archive_download_*": "no dataset",
        "public-reports_product_list_*": "a list of products, without values",
    },
    "spp": {
        "DA-BC-*": "no dataset",
        "DA-FUEL-ON-MARGIN-*": "no dataset",
        "DA-MC-*": "megawatts of the whole system, whose rows would have the keys of the prices of zone SPP",
        "DA-VC-*": "no dataset",
        "TieFlows_*": "no dataset",
        "chart-api_interchange-*": "no dataset",
        "chart-api_load-forecast_*": "tells neither its area nor when its forecasts were made",
    },
}


@pytest.mark.parametrize("iso", NOT_READ)
def test_every_reason_is_of_an_answer(iso: str) -> None:
    folder = recorded(iso, ".")
    if folder is not None:
        names = [path.name for path in folder.iterdir()]
        assert [pattern for pattern in NOT_READ[iso] if not any(fnmatch(name, pattern) for name in names)] == []


@pytest.mark.parametrize("iso", ["caiso", "miso", "pjm"])
def test_every_recorded_answer_is_read_or_told_of(iso: str) -> None:
    """The tests of the others look at their folders themselves."""
    folder = recorded(iso, ".")
    if folder is None:
        return
    names = {path.name for path in folder.iterdir()} - {"MANIFEST.csv"}
    names -= {name for name in names for pattern in NOT_READ[iso] if fnmatch(name, pattern)}
    tested = (HERE / f"test_{iso}.py").read_text()
    assert {name for name in names if name.removesuffix("_vendor_example.json") not in tested} == set()


def test_the_readme_lists_what_is_not_read() -> None:
    readme = README.read_text()
    assert [pattern for patterns in NOT_READ.values() for pattern in patterns if f"`{pattern}`" not in readme] == []
