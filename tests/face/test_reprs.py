"""What objects say of themselves at the end of a cell: short, and never arrays."""

import numpy as np
import pytest

import sitetwin as st
from sitetwin.site.check.findings import Finding, SiteReport
from sitetwin.site.maps import Ledger


def full_ledger():
    ledger = Ledger()
    for number in range(30):
        ledger.note("assumed", f"height {number}", count=1000)
    return ledger


def full_report():
    findings = tuple(Finding("error", "mesh", f"finding {number}", 1) for number in range(30))
    return SiteReport("town", "0" * 64, {}, [[0, 0, 0], [1, 1, 1]], {}, [], {}, [], findings)


@pytest.fixture
def job(street):
    site, users, _ = street
    return st.TraceJob(site, np.array([(-33, 0, 32), (0, 0, 20)]), users)


def test_a_job_says_what_it_traces(job, street):
    users = len(street[1])
    expected = f"TraceJob: 2 transmitters, {users} users, tiles of 50,000, engine sitetwin, in site '{street[0].name}'"
    assert repr(job) == expected


def test_a_store_says_how_far_it_is(store, street):
    said = repr(st.store.TileStore.open(store))
    assert said == f"TileStore '{store}': paths, {len(street[1])} users, 3 of 3 tiles finished"


@pytest.mark.parametrize("make", [full_ledger, full_report])
def test_long_accounts_are_cut(make):
    lines = repr(make()).splitlines()
    assert len(lines) < 20
    assert " more " in lines[-1]


def test_an_account_lists_its_lines():
    ledger = Ledger()
    ledger.note("dropped", "users inside buildings", count=1234)
    assert repr(ledger) == "Ledger\n  dropped       1,234  users inside buildings"
