"""BG/NBD and Gamma-Gamma: likelihoods, what they find again, and what they foresee."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import beta as beta_function
from scipy.special import gammaln

from recsys.customers import bg_nbd, gamma_gamma
from recsys.customers.bg_nbd import BgNbd, Counts, fit_bg_nbd
from recsys.customers.gamma_gamma import GammaGamma, fit_gamma_gamma
from recsys.customers.value import repeat_purchases
from tests.customers.shops import world

Floats = npt.NDArray[np.float64]
PARAMETER = st.floats(0.05, 20)


def array(*values: float) -> Floats:
    """As models take them."""
    return np.array(values, dtype=np.float64)


def integrated(model: BgNbd, x: int, t_x: float, total: float) -> tuple[float, float]:
    """The likelihood of one customer, of whoever stays and of whoever left after the last purchase, by equation (3) of
    the paper averaged over λ and p: the mean over λ in closed form, that over p by adding up."""
    r, alpha, a, b = model.r, model.alpha, model.a, model.b

    def over_rates(until: float) -> float:
        return float(np.exp(gammaln(r + x) - gammaln(r) + r * np.log(alpha) - (r + x) * np.log(alpha + until)))

    def over_leaving(power: int, p_power: int) -> float:
        # The density's ends are integrated away by the weight.
        # To so many digits and not to an absolute error: the value may be tiny.
        ends = (a - 1 + p_power, b - 1 + power)
        value, _ = quad(lambda _: 1.0, 0, 1, weight="alg", wvar=ends, epsabs=0.0, epsrel=1e-10)
        return float(value / beta_function(a, b))

    stays = over_leaving(x, 0) * over_rates(total)
    left = over_leaving(x - 1, 1) * over_rates(t_x) if x else 0.0
    return stays, left


@given(PARAMETER, PARAMETER, PARAMETER, PARAMETER, st.integers(0, 30), st.floats(0, 1), st.floats(1, 100))
@settings(max_examples=25)
def test_likelihood_and_probability_by_adding_up(
    r: float, alpha: float, a: float, b: float, x: int, share: float, total: float
) -> None:
    """Equation (6), and the probability of still being a customer, against integrals over p."""
    model, t_x = BgNbd(r, alpha, a, b), share * total if x else 0.0
    stays, left = integrated(model, x, t_x, total)
    counts = Counts.of(array(x), array(t_x), array(total))
    assert model.log_likelihood(counts) == pytest.approx(np.log(stays + left), abs=1e-5)
    assert model.alive(array(x), array(t_x), array(total)) == pytest.approx(stays / (stays + left), abs=1e-6)


@given(
    st.floats(0.1, 5),
    st.floats(0.5, 20),
    st.one_of(st.floats(0.2, 5), st.just(1.0), st.floats(0.9999, 1.0001)),
    st.floats(0.5, 5),
    st.integers(0, 25),
    st.floats(0, 100),
    st.floats(0.1, 150),
)
@settings(max_examples=40)
def test_expected_purchases_by_adding_up(
    r: float, alpha: float, a: float, b: float, x: int, total: float, t: float
) -> None:
    """Equation (10) of somebody who is a customer now, against the integral over time and p of what is to be expected:
    the mean of λ exp(−λ p s) with λ of Gamma(r + x, α + T) and p of Beta(a, b + x)."""
    model, then = BgNbd(r, alpha, a, b), alpha + total

    def of_leaving(p: float) -> float:
        # (1 − (α' / (α' + p t))^r') / p, which is r' t / α' where p is 0.
        power = r + x
        return -float(np.expm1(power * (np.log(then) - np.log(then + p * t)))) / p if p > 1e-12 else power * t / then

    found, _ = quad(of_leaving, 0, 1, weight="alg", wvar=(a - 1, b + x - 1), epsabs=0, epsrel=1e-11, limit=500)
    expected = found / float(beta_function(a, b + x))
    assert model.expected_while_alive(t, array(x), array(total)) == pytest.approx(expected, rel=1e-6)


def test_a_customer_who_bought_very_often() -> None:
    """Numbers far beyond what a power or a factorial holds: finite, and at most what the rate says."""
    model = BgNbd(0.25, 4.4, 0.8, 2.4)
    x, total = array(5_000, 5_000), array(50, 50)
    expected = model.expected(50, x, array(50, 10), total)
    assert 3_000 < expected[0] < 5_000
    assert 0 <= expected[1] < 1e-6
    assert np.isfinite(model.log_likelihood(Counts.of(x, array(50, 10), total)))


def slopes(function: object, at: Floats) -> tuple[Floats, Floats]:
    """The gradient that a likelihood tells, and the one that differences give."""
    told = function(at)[1]  # type: ignore[operator]
    step = 1e-6
    moves = np.eye(len(at)) * step
    differences = [(function(at + move)[0] - function(at - move)[0]) / (2 * step) for move in moves]  # type: ignore[operator]
    return told, np.array(differences)


@given(st.lists(st.floats(-1.5, 1.5), min_size=4, max_size=4))
@settings(max_examples=30)
def test_gradients_are_those_of_the_likelihoods(theta: list[float]) -> None:
    """By differences, anywhere."""
    x, t_x, total = world(60, 0.5, 3, 1, 2, 40, seed=3)
    told, differences = slopes(bg_nbd._likelihood_of(Counts.of(x, t_x, total)), np.array(theta))
    assert told == pytest.approx(differences, abs=2e-7)
    again = x > 0
    amounts = np.random.default_rng(1).gamma(3, 5, len(x))
    told, differences = slopes(gamma_gamma._likelihood_of(x[again], amounts[again]), np.array(theta[:3]) + 1)
    assert told == pytest.approx(differences, abs=2e-6)


def test_the_gamma_gamma_likelihood_by_adding_up() -> None:
    """Equation (1a) of the note against the integral over ν of the chance of the mean amount."""
    model = GammaGamma(6.25, 3.74, 15.44)
    for x, z in ((1.0, 22.0), (4.0, 35.0), (9.0, 11.0)):

        def of_rate(v: float, x: float = x, z: float = z) -> float:
            shape = model.p * x
            mean = shape * np.log(v * x) + (shape - 1) * np.log(z) - v * x * z - gammaln(shape)
            prior = model.q * np.log(model.gamma) + (model.q - 1) * np.log(v) - v * model.gamma - gammaln(model.q)
            return float(np.exp(mean + prior))

        expected = np.log(quad(of_rate, 0, 5, epsabs=0, epsrel=1e-10, limit=500)[0])
        assert model.log_likelihood(array(x), array(z)) == pytest.approx(expected, rel=1e-8)
    assert model.expected(array(0, 0), array(np.nan, 5)) == pytest.approx(model.mean)
    # One who bought very often is expected to go on as before.
    assert model.expected(array(1e6), array(70.0)) == pytest.approx(70.0, rel=1e-4)


def test_a_recorded_sample_has_the_recorded_estimates() -> None:
    """Whatever the machine: the maximum is reached from every start, and lies where it lay."""
    x, t_x, total = world(2_000, 0.5, 5, 0.8, 2.5, 52, seed=11)
    fit = fit_bg_nbd(Counts.of(x, t_x, total))
    assert fit.agreed == (4, 4)
    assert not fit.at_limit
    found = (fit.model.r, fit.model.alpha, fit.model.a, fit.model.b)
    assert found == pytest.approx(RECORDED, rel=1e-3)


RECORDED = (0.50983, 5.32996, 0.81119, 2.58736)


def test_parameters_are_found_again() -> None:
    """In a large made-up world, within a few standard errors, for buying and for spending."""
    truth = BgNbd(0.6, 6.0, 0.9, 3.0)
    x, t_x, total = world(8_000, truth.r, truth.alpha, truth.a, truth.b, 104, seed=5)
    counts = Counts.of(x, t_x, total)
    found = fit_bg_nbd(counts).model
    assert (found.r, found.alpha) == pytest.approx((truth.r, truth.alpha), rel=0.12)
    assert (found.a, found.b) == pytest.approx((truth.a, truth.b), rel=0.25)
    assert found.log_likelihood(counts) >= truth.log_likelihood(counts)
    random, spending = np.random.default_rng(6), GammaGamma(5.0, 4.0, 20.0)
    often = x[x > 0]
    rate = random.gamma(spending.q, 1 / spending.gamma, len(often))
    z = random.gamma(spending.p * often, 1 / (rate * often))
    again = fit_gamma_gamma(often, z).model
    assert (again.p, again.q, again.gamma) == pytest.approx((spending.p, spending.q, spending.gamma), rel=0.1)


def test_many_customers_are_fitted_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting from a sample leads to the same maximum of all."""
    x, t_x, total = world(1_000, 0.5, 5, 0.8, 2.5, 52, seed=11)
    counts = Counts.of(x, t_x, total)
    whole = fit_bg_nbd(counts).model
    amounts = np.random.default_rng(1).gamma(3, 5, len(x)) * np.random.default_rng(2).gamma(4, 1, len(x))
    spent = fit_gamma_gamma(x[x > 0], amounts[x > 0]).model
    monkeypatch.setattr(bg_nbd, "ROUGH_ROWS", 300)
    monkeypatch.setattr(gamma_gamma, "ROUGH_ROWS", 300)
    assert fit_bg_nbd(counts).model.log_likelihood(counts) == pytest.approx(whole.log_likelihood(counts), rel=1e-9)
    rough = fit_gamma_gamma(x[x > 0], amounts[x > 0]).model
    assert (rough.p, rough.q, rough.gamma) == pytest.approx((spent.p, spent.q, spent.gamma), rel=1e-2)


def test_the_unit_of_time_and_of_money_does_not_matter() -> None:
    """In days instead of weeks α is seven times as large, in cents γ a hundred times, and nothing else differs."""
    x, t_x, total = world(1_000, 0.5, 5, 0.8, 2.5, 52, seed=2)
    weeks = fit_bg_nbd(Counts.of(x, t_x, total)).model
    days = fit_bg_nbd(Counts.of(x, 7 * t_x, 7 * total)).model
    assert (days.r, days.alpha / 7, days.a, days.b) == pytest.approx((weeks.r, weeks.alpha, weeks.a, weeks.b), rel=1e-3)
    again = x > 0
    random = np.random.default_rng(4)
    z = random.gamma(3, 5, len(x)) * random.gamma(4, 1, len(x))
    euros, cents = fit_gamma_gamma(x[again], z[again]).model, fit_gamma_gamma(x[again], 100 * z[again]).model
    expected = (euros.p, euros.q, euros.gamma)
    assert (cents.p, cents.q, cents.gamma / 100) == pytest.approx(expected, rel=1e-3)


CUT = date(1997, 9, 30)


def cdnow(name: str) -> pl.DataFrame:
    """What the models learn from of CDNOW's first 39 weeks."""
    events = pl.read_parquet(Path(os.environ["BOOKMATCH_DATA"]) / "cdnow" / f"{name}.parquet")
    days = (
        events.filter(pl.col("date") <= CUT)
        .group_by(pl.col("customer_id").cast(pl.String), pl.col("date").alias("day"))
        .agg(amount=pl.col("dollars").sum())
        .sort("customer_id", "day")
    )
    return repeat_purchases(days, CUT)


@pytest.mark.data
@pytest.mark.skipif("BOOKMATCH_DATA" not in os.environ, reason="BOOKMATCH_DATA names no folder of data sets")
def test_the_published_estimates() -> None:
    """Of CDNOW's 1/10 sample: Fader, Hardie and Lee (2005), table 2, and Fader and Hardie (2013), within 1 %."""
    repeats = cdnow("sample_1_10")
    x, t_x, total = (repeats[name].to_numpy() for name in ("x", "t_x", "T"))
    counts = Counts.of(x, t_x, total)
    buying = fit_bg_nbd(counts).model
    assert (buying.r, buying.alpha, buying.a, buying.b) == pytest.approx((0.243, 4.414, 0.793, 2.426), rel=0.01)
    assert buying.log_likelihood(counts) == pytest.approx(-9582.4, abs=0.05)
    paid = repeats.filter(pl.col("n") > 0)
    spending = fit_gamma_gamma(paid["n"].to_numpy(), paid["z"].to_numpy()).model
    assert (spending.p, spending.q, spending.gamma) == pytest.approx((6.25, 3.74, 15.44), rel=0.01)
    # The paper's example: x = 2, t_x = 30.43, T = 38.86 has 1.226 expected purchases in the next 39 weeks.
    assert buying.expected(39, array(2), array(30.43), array(38.86)) == pytest.approx(1.226, abs=0.001)
