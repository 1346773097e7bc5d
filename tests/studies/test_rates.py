"""The study of rates: laws of its figures, its configuration, and a small canyon from end to end."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sitetwin.errors import SiteTwinError
from sitetwin.learn import CsiSet
from sitetwin.report import rates_sentences, rates_table, write_rates_report
from sitetwin.studies import rates_study, run_rates_study
from sitetwin.studies.csi.config import Cell
from sitetwin.studies.rates import study as rates
from sitetwin.studies.rates.config import REFINED, TARGET, TWIN, RatesStudy
from sitetwin.studies.rates.opponents import Opponent
from sitetwin.studies.rates.results import SCHEMA, RatesResults, read_rates_results
from sitetwin.studies.rates.scores import beam_loss_db, noisy, shuffled_angles, user_scores, zero_forcing_share
from sitetwin.studies.rates.summary import pairs, table, worth
from sitetwin.studies.records import as_document, checked_record

TAPS, BEAMS = 8, 16


def _cell(users: int, seed: int) -> torch.Tensor:
    """Matrices of the size of the study's link."""
    x = torch.randn(users, 32, 32, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))
    return x / x.flatten(1).norm(dim=1)[:, None, None]


def _matrices(users: int, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(users, TAPS, BEAMS, dtype=torch.complex64, generator=rng)
    return x / x.flatten(1).norm(dim=1)[:, None, None]


def test_perfect_feedback_loses_nothing_and_a_common_phase_changes_no_rate() -> None:
    x = _matrices(12)
    perfect = user_scores(x, x, 10.0, 4)
    for name, wanted in (("nmse", 0), ("sgcs", 1), ("rate_share", 1), ("zf_share", 1), ("beam_loss_db", 0)):
        assert torch.allclose(perfect[name], torch.full((12,), float(wanted)), atol=1e-4), name
    phase = torch.polar(torch.ones(12), torch.linspace(0, 3, 12))[:, None, None]
    turned = user_scores(x, 0.3 * phase * x, 10.0, 4)
    for name in ("sgcs", "rate_share", "zf_share", "beam_loss_db"):
        assert torch.allclose(turned[name], perfect[name], atol=1e-4), name


def test_zero_forcing_needs_better_channels_than_one_user() -> None:
    """The same error costs more where users share the band, and more users share the last, unfull group's mean."""
    x = _matrices(18)
    found = x + 0.1**0.5 * _matrices(18, seed=1)
    scores = user_scores(x, found, 20.0, 4)
    assert scores["zf_share"][:16].mean() < scores["rate_share"].mean() < 1
    assert torch.allclose(scores["zf_share"][16:], scores["zf_share"][:16].mean())
    assert torch.isnan(zero_forcing_share(x[:3], x[:3], 10.0, 4)).all()


def test_orthogonal_users_are_served_without_interference() -> None:
    """Two users on beams of their own: each has half the power, so the sum rate is two times log2(1 + snr / 2)."""
    x = torch.zeros(2, TAPS, BEAMS, dtype=torch.complex64)
    x[0, 0, 3] = x[1, 0, 7] = 1
    other = torch.zeros_like(x)
    other[:, 0, 12] = 1  # beams that reach nobody
    assert torch.allclose(zero_forcing_share(x, x, 10.0, 2), torch.ones(2), atol=1e-4)
    assert torch.allclose(zero_forcing_share(x, other, 10.0, 2), torch.zeros(2), atol=1e-4)


def test_the_loss_of_a_beam_is_that_of_its_power() -> None:
    x = torch.zeros(1, TAPS, BEAMS, dtype=torch.complex64)
    x[0, 2, 5], x[0, 3, 6] = 0.8, 0.6
    chosen = torch.zeros_like(x)
    chosen[0, 0, 6] = 1
    assert float(beam_loss_db(x, x)) == 0
    assert float(beam_loss_db(x, chosen)) == pytest.approx(20 * math.log10(0.8 / 0.6), abs=1e-4)


def test_noise_has_the_power_that_is_asked_for() -> None:
    """Of white noise over the band the matrix keeps the share of its taps."""
    x = _matrices(400)
    rng = torch.Generator().manual_seed(1)
    seen = noisy(x, 10.0, 4 * TAPS, rng)
    assert torch.allclose(seen.flatten(1).norm(dim=1), torch.ones(400), atol=1e-5)
    inner = (seen.flatten(1).conj() * x.flatten(1)).sum(1).abs().square()
    assert float(((1 - inner) / inner).mean()) == pytest.approx(0.1 / 4, rel=0.1)


def test_shuffled_angles_keep_the_strength_of_each_angle_and_nothing_else() -> None:
    """The control of an update: sums over users of an angle's delays stay, before norms are made one again."""
    x = torch.zeros(40, TAPS, BEAMS, dtype=torch.complex64)
    beams = torch.randint(BEAMS // 2, (40,), generator=torch.Generator().manual_seed(2))
    x[torch.arange(40), 1, beams] = 0.6
    x[torch.arange(40), 2, beams + BEAMS // 2] = 0.8  # each user's two angles belong together
    mixed = shuffled_angles(x, torch.Generator().manual_seed(3))
    assert torch.allclose(mixed.flatten(1).norm(dim=1), torch.ones(40), atol=1e-5)
    together = ((mixed[:, 1, : BEAMS // 2].abs() > 0) & (mixed[:, 2, BEAMS // 2 :].abs() > 0)).any(1).float().mean()
    assert together < 0.6
    some = _matrices(9, seed=4)
    again = shuffled_angles(some, torch.Generator().manual_seed(5))
    ratio = again.abs().sort(0).values / some.abs().sort(0).values
    assert not torch.allclose(again, some)
    assert ratio.min() > 0.5
    assert ratio.max() < 2  # only the norms of users differ


def test_a_slope_planted_in_the_table_is_told_back() -> None:
    rows = [
        {
            "target": "target_a",
            "split": "random",
            "bits": 64,
            "nmse_db": {"mean": -10 - k},
            "rate_share": {"mean": 0.9 + 0.01 * k},
            "zf_share": {"mean": 0.8 + 0.02 * k},
        }
        for k in range(6)
    ]
    (found,) = worth(rows)
    assert (found["from_db"], found["to_db"], found["points"]) == (-15, -10, 6)
    assert found["rate_percent_per_db"] == pytest.approx(1.0)
    assert found["zf_percent_per_db"] == pytest.approx(2.0)
    assert worth(rows[:3]) == []


def test_pairs_are_of_one_seed_each_and_set_the_twin_against_all() -> None:
    study = rates_study("quick", seeds=3, methods=("klt", "omp"), bits=(64,))

    def row(method: str, source: str, seed: int, nmse: float) -> dict[str, object]:
        return {"method": method, "source": source, "seed": seed, "nmse_db": nmse, "bits": 64, "noise_snr_db": None}

    found = [
        {**row(method, source, seed, base + seed), "target": "target_b", "split": "blocks"}
        for seed in range(3)
        for method, source, base in (("klt", "twin", -12), ("klt", "target", -6), ("omp", "none", -10))
    ]
    told = {(p["a"], p["b"]): p["difference_db"] for p in pairs(study, found)}
    assert set(told) == {("klt, twin", "klt, target"), ("klt, twin", "omp")}
    assert told["klt, twin", "omp"]["mean"] == pytest.approx(-2)
    assert told["klt, twin", "omp"]["low"] == pytest.approx(-2)  # the seeds differ, the pairs do not
    assert told["klt, twin", "omp"]["kind"] == "over seeds"


def test_the_page_says_what_it_must(tmp_path) -> None:
    figures = {"sgcs": 0.9, "rate_share": 0.97, "zf_share": 0.9, "beam_loss_db": 0.1, "used_bits": 60.0}
    found = [
        {
            "seed": seed,
            "target": "target_a",
            "split": "random",
            "method": method,
            "source": source,
            "bits": bits,
            "noise_snr_db": noise,
            "nmse_db": -10.0 - seed,
            **figures,
        }
        for seed in range(2)
        for method, source in (("klt", "twin"), ("omp", "none"))
        for bits, noise in ((None, None), (64, None), (128, None), (128, 10.0))
    ]
    rows = table(one for one in found if one["noise_snr_db"] is None)
    assert len(rows) == 6
    slope = {"from_db": -15.0, "to_db": -10.0, "points": 4, "rate_percent_per_db": 0.5, "zf_percent_per_db": 1.5}
    document = {
        "schema_name": SCHEMA,
        "title": "Codecs at equal bits: <nowhere>",
        "profile": "quick",
        "configuration": {"groups": 4},
        "configuration_hash": "0",
        "seeds": [0, 1],
        "versions": {},
        "worlds": {},
        "test_users": 10,
        "rows": rows,
        "noise": table(one for one in found if one["noise_snr_db"] is not None),
        "pairs": [],
        "costs": [{"method": "klt", "source": "twin", "bits": 64, "multiply_adds_ue": 1234567}],
        "worth": [{"target": "target_a", "split": "random", **slope}],
        "notes": ["A note."],
    }
    results = checked_record(RatesResults, document)
    (tmp_path / "results.json").write_text(RatesResults.model_validate(as_document(results)).model_dump_json())
    page = write_rates_report(tmp_path).read_text()
    sentence = rates_sentences(read_rates_results(tmp_path))[0]
    assert "0.50 % of the rate to one user and 1.50 % of the sum rate to 4 users" in sentence
    assert sentence in page
    assert "1,234,567" in page
    assert "&lt;nowhere&gt;" in page
    assert rates_table(results).row_count == 6
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(SiteTwinError, match="no study of rates"):
        write_rates_report(tmp_path)


def test_groups_larger_than_the_test_users_are_refused() -> None:
    study = rates_study("quick")
    with pytest.raises(ValueError, match="zero-forcing to 2000 users at once"):
        RatesStudy(profile="quick", csi=study.csi, groups=2000)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"methods": ("klt", "magic")}, "no method 'magic'"),
        ({"methods": ("klt", "klt")}, "one twice"),
        ({"sources": ("moon",)}, "no source 'moon'"),
        ({"bits": (100,)}, "takes multiples of 32 bits"),
        ({"bits": (64, 64)}, "stands twice"),
        ({"seeds": 0}, "0 seeds"),
        ({"sources": ("target", "refined")}, "give the source 'twin' too"),
        ({"profile": "huge"}, "no profile 'huge'"),
    ],
)
def test_what_is_no_study_is_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(SiteTwinError, match=said):
        rates_study(**{"profile": "quick", **given})


def _seed_run(sources: tuple[str, ...], methods: tuple[str, ...]) -> rates._SeedRun:
    """A run on random matrices of two cases, beside no other world."""
    study = rates_study("quick", seeds=2, bits=(64,), methods=methods, sources=sources)
    run = object.__new__(rates._SeedRun)
    run._of_place = lambda case, data: {}
    run.study, run.seed, run.seconds, run.shared = study, 0, {}, {}
    run.cases = {
        case: SimpleNamespace(train=_set(_cell(6, k)), test=_set(_cell(9, 7 + k)))
        for k, case in enumerate(study.csi.evaluation.cases)
    }
    return run


def _set(x: torch.Tensor) -> CsiSet:
    return CsiSet(x, torch.ones(len(x)), torch.zeros(len(x)), "corner")


def test_codecs_of_a_target_are_tested_on_their_own_case_alone(monkeypatch) -> None:
    """Training users of one case are test users of another: each codec of a target serves one case, once."""
    run = _seed_run((TARGET,), ("lookup", "omp"))
    seen = []
    monkeypatch.setattr(rates, "opponents", lambda study, sources, seed, methods: seen.append(sources) or [])
    run.found(lambda share: None)
    for (case, data), sources in zip(list(run.cases.items()) * 2, seen, strict=True):
        assert sources[TARGET] is data.train.x or torch.equal(sources[TARGET], data.train.x), case
    tested = [cases for method in run.study.methods for _, cases in run._trainings(method)]
    assert tested == [[case] for case in run.cases] * 2
    run.shared = {TWIN: _cell(6, 5)}
    assert [cases for _, cases in run._trainings("omp")] == [list(run.cases)]
    assert [cases for _, cases in run._trainings("lookup")] == [list(run.cases), *([case] for case in run.cases)]


def test_batches_do_not_decide_which_users_zero_forcing_serves_together(monkeypatch) -> None:
    run, x = _seed_run((TARGET,), ("lookup",)), _cell(9, 3)
    blurred = Opponent("blur", TWIN, 8, lambda y: (y.roll(1, 1) + y, 8.0), {})
    whole, used = run._scores(blurred, x, x)
    monkeypatch.setattr(rates, "_BATCH", 2)
    parts, same = run._scores(blurred, x, x)
    assert used == pytest.approx(same) == 8.0
    for name, values in whole.items():
        assert torch.isfinite(values).all()
        assert torch.allclose(values, parts[name], atol=1e-5)


def test_notes_speak_of_what_was_run() -> None:
    few = " ".join(rates._own_notes(rates_study("quick", methods=("klt",), sources=(TWIN,))))
    assert "2560 training matrices" in few
    assert "32 reals" in few
    for other in ("etype2", "omp", "know no site", "TR 38.901", "epochs"):
        assert other not in few
    more = " ".join(rates._own_notes(rates_study("quick", methods=("klt", "omp", "etype2"), sources=(TWIN, "umi"))))
    assert all(word in more for word in ("etype2", "8 atoms", "know no site", "TR 38.901"))


@pytest.mark.slow
def test_a_small_canyon_from_end_to_end(tmp_path) -> None:
    area = (-30.0, -8.0, 60.0, 8.0)
    cells = [
        Cell(scene=name, base_station=(-33.0, 0.0, 12.0), yaw_deg=0.0, area=area, spacing=1.0)
        for name in ("simple_street_canyon", "simple_street_canyon_with_cars")
    ]
    study = rates_study(
        "quick", *cells, bits=(64, 128), seeds=1, methods=("klt", "lookup", "omp", "etype2"), sources=(TWIN, REFINED)
    )
    sizes = {"sampled_users": 900, "test_users": 40, "train_sizes": (100,), "block_m": 10.0, "guard_m": 2.0}
    none = {"other_engine_users": 0}
    csi = study.csi.model_copy(
        update={
            "evaluation": study.csi.evaluation.model_copy(update=sizes),
            "imperfections": study.csi.imperfections.model_copy(update=none),
        }
    )
    study = study.model_copy(update={"csi": csi})
    first = run_rates_study(study, tmp_path / "run").read_bytes()
    results = read_rates_results(tmp_path / "run")
    for row in results.rows:
        assert row.bits is None or row.used_bits <= row.bits
        assert 0 <= row.sgcs.mean <= 1
    by = {(r.method, r.source, r.bits, r.target): r.nmse_db.mean for r in results.rows}
    assert by["omp", "none", 128, "target_a"] < by["omp", "none", 64, "target_a"]
    assert {r.source for r in results.rows if r.method == "klt"} == {TWIN, REFINED}
    assert {r.source for r in results.rows if r.method == "lookup"} == {TWIN}  # it has no update
    (place, _) = results.places
    assert (place.method, place.bits, place.target) == ("place", 0, "target_a")
    assert place.nmse_db.mean < -5  # target A is the twin but for leaves
    noise = {(r.method, r.target, r.noise_snr_db): r.nmse_db.mean for r in results.noise}
    assert noise["omp", "target_a", 0.0] > noise["omp", "target_a", 30.0]
    assert np.isclose(noise["omp", "target_a", 30.0], noise["omp", "target_a", None], atol=0.5)
    for part in (tmp_path / "run" / "parts").iterdir():
        part.unlink()
    assert run_rates_study(study, tmp_path / "run").read_bytes() == first
    write_rates_report(tmp_path / "run")
