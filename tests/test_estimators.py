"""Gradient estimators: every one is measured against the gradient that it claims to estimate.

The network has 10 inputs, 16 tanh units and 11 classes, 363 parameters with biases; its data
are a fixed synthetic set of that shape (64 samples around 11 centres, made from a seed), so that
no file is needed. A noise level is the standard deviation of each device of a differential pair
as a fraction of the conductance window.

Every case draws 60 000 pairs of arrays. The reference is the gradient of the smoothed loss
L_S(w) = E L(w + a): the mean of the exact gradients, by a backpropagation of this file, over all
arrays of the case. What theory expects of an estimator, biased ones included, is a vector; its
mean estimate may differ from that by 3 % in length, or 4 standard errors where those are larger,
and in direction by what its own variance leaves after 60 000 draws: tan² of the angle is
Var ĝ / (draws · |expected|²) on average, scattered like χ² of d degrees of freedom, of which six
standard deviations are allowed.
"""

import math
from typing import NamedTuple

import numpy as np
import pytest

import zerohm as zo
from zerohm import InputError
from zerohm._random import stream
from zerohm.crossbar import ADC, DAC
from zerohm.devices import Cell, ConstantNoise, PolynomialNoise
from zerohm.mapping import WriteNoise
from zerohm.training import NoiseZO, estimators, mlp
from zerohm.training.estimators import Observation
from zerohm.training.losses import cross_entropy

SHAPES = (16, 11), (11, 17)
SIZES = [outputs * inputs for outputs, inputs in SHAPES]
SIZE = sum(SIZES)
SAMPLES = 64
LIMIT = np.repeat([6 / math.sqrt(inputs) for _, inputs in SHAPES], SIZES).astype("f4")
DRAWS, CHUNK = 60_000, 400


# Exact losses and gradients of many arrays at once.


def backpropagate(weights, inputs, labels, shapes=SHAPES, noise=None):
    """Losses (n,) and gradients (n, d) of tanh networks (n, d) with one hidden layer.

    ``inputs`` hold the constant column; ``noise(layer, signal)`` is what a layer adds to its
    matrix–vector products.
    """
    n, samples, first = len(weights), np.arange(len(labels)), math.prod(shapes[0])
    lower = weights[:, :first].reshape(n, *shapes[0])
    upper = weights[:, first:].reshape(n, *shapes[1])
    z = inputs @ lower.transpose(0, 2, 1)
    hidden = np.ones((*z.shape[:2], shapes[1][1]), dtype=z.dtype)
    hidden[..., :-1] = np.tanh(z if noise is None else z + noise(0, inputs))
    logits = hidden @ upper.transpose(0, 2, 1)
    if noise is not None:
        logits += noise(1, hidden)
    logits -= logits.max(axis=-1, keepdims=True)
    p = np.exp(logits)
    total = p.sum(axis=-1, keepdims=True)
    losses = np.log(total[..., 0]) - logits[:, samples, labels]
    p /= total
    p[:, samples, labels] -= 1
    p /= len(labels)
    upstream = (p @ upper[..., :-1]) * (1 - hidden[..., :-1] ** 2)
    slopes = [upstream.transpose(0, 2, 1) @ inputs, p.transpose(0, 2, 1) @ hidden]
    flat = np.concatenate([slope.reshape(n, -1) for slope in slopes], axis=1)
    return losses.mean(axis=-1, dtype=np.float64), flat


def _problem():
    """Inputs with their constant column, labels, and weights after some training."""
    rng = stream(1, "data")
    labels = np.arange(SAMPLES) % 11
    centres = rng.standard_normal((11, 10))
    inputs = np.ones((SAMPLES, 11), dtype=np.float32)
    inputs[:, :-1] = centres[labels] + 0.5 * rng.standard_normal((SAMPLES, 10))
    network = mlp([10, 16, 11], hardware=zo.mapping.digital(), activation="tanh")
    weights = network.initial_parameters(rng)
    for _ in range(50):
        weights -= 0.5 * backpropagate(weights[None], inputs, labels)[1][0]
    return inputs, labels, weights


X, LABELS, W = _problem()
CLEAN_LOSS = backpropagate(W[None], X, LABELS)[0][0]


# Monte Carlo: pairs of arrays by the chunk, and the statistics of estimators over them.


class Arrays(NamedTuple):
    acting: np.ndarray  # weights during the forward passes, (2, n, d)
    stored: np.ndarray  # weights when they are read back, (2, n, d)
    response: np.ndarray | float = 1.0  # how a cell follows its target, dW/dw


class Estimate:
    """Statistics of one estimator, gathered chunk by chunk."""

    def __init__(self):
        self.chunks, self.powers, self.draws = [], [], 0

    def add(self, estimates):
        self.chunks.append(estimates.mean(axis=0, dtype=np.float64))
        self.powers.append(np.square(estimates).sum(axis=1, dtype=np.float64).mean())
        self.draws += len(estimates)

    @property
    def mean(self):
        return np.mean(self.chunks, axis=0)

    @property
    def power(self):
        """E|ĝ|²."""
        return np.mean(self.powers)

    def slope(self, reference):
        """<mean ĝ, reference> / |reference|² and its standard error."""
        slopes = np.array(self.chunks) @ reference / (reference @ reference)
        return slopes.mean(), slopes.std(ddof=1) / math.sqrt(len(slopes))

    def cosine(self, reference):
        return self.mean @ reference / np.linalg.norm(self.mean) / np.linalg.norm(reference)

    def excess(self, reference):
        """tan² of the mean's angle to the reference over its Monte-Carlo floor; near 1."""
        floor = (self.power - self.mean @ self.mean) / (self.draws * (reference @ reference))
        return (1 / self.cosine(reference) ** 2 - 1) / floor

    def relative_power(self, reference):
        """E|ĝ|² / (d·|g|²)."""
        return self.power / (len(reference) * (reference @ reference))


class Case(NamedTuple):
    gradient: np.ndarray  # E ∇L(W): of the smoothed loss, at a fixed noise distribution
    total: np.ndarray  # E (dW/dw)·∇L(W): the same with noise that follows w
    losses: np.ndarray  # E L of either array
    roughness: float  # E|∇L(W)|² / |E ∇L(W)|²
    rows: dict[str, Estimate]


def run(law, rows, noise=None):
    """All rows of a case over the same arrays; ``law(rng)`` draws a chunk of them."""
    rng = stream(2, "arrays")
    gradients, totals, losses, powers = [], [], [], []
    estimates = {name: Estimate() for name in rows}
    for _ in range(DRAWS // CHUNK):
        arrays = law(rng)
        forward_noise = None if noise is None else noise(rng)
        acting = arrays.acting.reshape(-1, SIZE)
        values, slopes = backpropagate(acting, X, LABELS, noise=forward_noise)
        values, slopes = values.reshape(2, -1), slopes.reshape(arrays.acting.shape)
        gradients.append(slopes.mean(axis=(0, 1), dtype=np.float64))
        totals.append((slopes * arrays.response).mean(axis=(0, 1), dtype=np.float64))
        losses.append(values.mean(axis=1))
        powers.append(np.square(slopes).sum(axis=-1).mean())
        for name, row in rows.items():
            estimates[name].add(row(values, arrays.stored, rng))
    mean = np.mean(gradients, axis=0)
    roughness = float(np.mean(powers) / (mean @ mean))
    return Case(mean, np.mean(totals, axis=0), np.mean(losses, axis=0), roughness, estimates)


def check(estimate, expected):
    """The mean estimate is the expected vector, as far as its draws can show."""
    slope, error = estimate.slope(expected)
    assert abs(slope - 1) < max(0.03, 4 * error)
    assert abs(estimate.excess(expected) - 1) < 6 * math.sqrt(2 / len(expected))


def standard(rng):
    return rng.standard_normal((2, CHUNK, SIZE), dtype=np.float32)


def of_weights(level):
    """Standard deviation of the weights for this noise level of both devices of the pairs."""
    return (math.sqrt(2) * level * LIMIT).astype("f4")


STD = of_weights(0.02)


def gaussian(std, offset=(0.0, 0.0)):
    """Arrays that keep what was written: offset plus Gaussian noise."""
    offsets = np.stack([np.broadcast_to(np.float32(value), SIZE) for value in offset])[:, None]

    def law(rng):
        weights = W + offsets + std * standard(rng)
        return Arrays(weights, weights)

    return law


def using(estimator, believed, *, slope=0.0, read=0.0, adc=None):
    """A row: an estimator of the package that is told the noise (..., ``believed``, ``slope``).

    The read-back really has the noise ``read``, and passes a converter.
    """
    noise = WriteNoise(std=np.float32(believed), std_slope=np.float32(slope), density="gaussian")
    read = np.float32(read)

    def row(losses, stored, rng):
        read_back = stored
        if read.any():
            read_back = stored + read * rng.standard_normal(stored.shape, dtype=np.float32)
        if adc is not None:
            read_back = adc.convert(read_back / LIMIT, 1.25)[0] * LIMIT
        return estimator(Observation(losses[0] - losses[1], W, read_back, noise, read))

    return row


def single_array(std):
    """A row: one array against the exact loss of w, ĝ = (L_A − L(w))·(W_A − w)/σ²."""
    noise = WriteNoise(std=std, std_slope=np.zeros(()), density="gaussian")

    def row(losses, stored, rng):
        seen = Observation(losses[0] - CLEAN_LOSS, W, stored[:1], noise, np.zeros(()))
        return estimators.covariance(seen)

    return row


def least_mean_squares(losses, stored, rng):
    """A row: d·ΔL·δ/|δ|², the normalisation that needs no calibration."""
    difference = stored[0] - stored[1]
    scale = SIZE * (losses[0] - losses[1]) / np.square(difference).sum(axis=1)
    return scale.astype(np.float32)[:, None] * difference


# The cases.


def test_this_files_backpropagation_is_that_of_the_package():
    network = mlp([10, 16, 11], hardware=zo.mapping.digital(), activation="tanh")
    weights = W + STD * standard(stream(3))[0, :5].astype(float)
    losses, slopes = backpropagate(weights, X.astype(float), LABELS)
    for weight, loss, slope in zip(weights, losses, slopes, strict=True):
        expected_loss, expected = network.gradient(weight, X[:, :-1].astype(float), LABELS)
        assert loss == pytest.approx(expected_loss, rel=1e-12)
        np.testing.assert_allclose(slope, expected, rtol=1e-9, atol=1e-14)


def test_constant_noise_and_read_back_noise():
    """Dual arrays, 2 %: unbiased, at the variance of theory; read-back noise costs variance only.

    Wiener weights, or dividing by the variance that the read-back shows, shrink by
    σ²/(σ² + σ_r²): 2/3 for read-back noise as large as the write noise of one device.
    """
    read = STD / math.sqrt(2)
    case = run(
        gaussian(STD),
        {
            "covariance": using(estimators.covariance, STD),
            "score": using(estimators.score, STD),
            "naive": using(estimators.naive, STD),
            "single": single_array(STD),
            "noisy read-back": using(estimators.covariance, STD, read=read),
            "noisy score": using(estimators.score, STD, read=read),
            "wiener": using(estimators.wiener, STD, read=read),
            "variance as read": using(estimators.covariance, np.hypot(STD, read), read=read),
            "8 bit": using(estimators.covariance, STD, adc=ADC(bits=8)),
            "5 bit": using(estimators.covariance, STD, adc=ADC(bits=5)),
        },
    )
    g, rows = case.gradient, case.rows
    for name in ("covariance", "score", "single", "noisy read-back", "noisy score", "8 bit"):
        check(rows[name], g)
    check(rows["wiener"], g * 2 / 3)
    check(rows["variance as read"], g * 2 / 3)
    check(rows["naive"], g * STD**2 / np.mean(STD**2))  # the layers differ in weight units
    check(rows["5 bit"], g * quantizer_gain(STD, bits=5))
    assert rows["5 bit"].slope(g)[0] == pytest.approx(1.0, abs=0.05)

    # (d + 2)·|∇L(w + u)|² with the base point u = (a + b)/2, of half the variance of a.
    power = (SIZE + 2) / SIZE * (1 + (case.roughness - 1) / 2)
    assert rows["covariance"].relative_power(g) == pytest.approx(power, rel=0.05)
    assert rows["noisy read-back"].power == pytest.approx(1.5 * rows["covariance"].power, rel=0.05)
    assert rows["wiener"].power == pytest.approx(2 / 3 * rows["covariance"].power, rel=0.05)
    assert rows["single"].power > 3 * rows["covariance"].power


def quantizer_gain(std, bits):
    """d E Q(w + a)/dw of a mid-tread quantiser Q, by Poisson summation over its thresholds."""
    step = 1.25 * LIMIT / ADC(bits=bits).largest_code
    k = np.arange(1, 20)[:, None]
    waves = (-1.0) ** k * np.cos(2 * np.pi * k * W / step)
    return 1 + 2 * np.sum(waves * np.exp(-2 * (np.pi * k * std / step) ** 2), axis=0)


def test_larger_noise_has_the_gradient_of_the_smoothed_loss():
    """5 %: the loss is far from linear over the noise, and the estimate still unbiased."""
    std = of_weights(0.05)
    case = run(gaussian(std), {"covariance": using(estimators.covariance, std)})
    estimate = case.rows["covariance"]
    check(estimate, case.gradient)
    power = (SIZE + 2) / SIZE * (1 + (case.roughness - 1) / 2)
    assert estimate.relative_power(case.gradient) == pytest.approx(power, rel=0.15)
    at_w = backpropagate(W[None], X, LABELS)[1][0].astype(float)
    assert estimate.excess(at_w) > 3  # smoothing is visible: ∇L(w) itself is another vector


def test_state_dependent_noise():
    """σ(w) from its least value to seven times that: naive and LMS turn away, others do not.

    The covariance form has the gradient at fixed noise, the score form also the pull towards
    quiet states, dσ/dw times the derivative of the loss with respect to σ.
    """
    scale = np.repeat([np.abs(part).max() for part in np.split(W, [SIZES[0]])], SIZES)
    profile = 1 + 6 * np.abs(W) / scale
    mean_square = [np.mean(part**2) for part in np.split(profile, [SIZES[0]])]
    quietest = STD / np.sqrt(np.repeat(mean_square, SIZES))
    std = (quietest * profile).astype("f4")
    slope = (quietest * 6 * np.sign(W) / scale).astype("f4")
    read = of_weights(0.01)

    def law(rng):
        unit = standard(rng)
        weights = W + std * unit
        return Arrays(weights, weights, 1 + slope * unit)

    case = run(
        law,
        {
            "covariance": using(estimators.covariance, std),
            "naive": using(estimators.naive, std),
            "lms": least_mean_squares,
            "score": using(estimators.score, std, slope=slope),
            "noisy read-back": using(estimators.covariance, std, read=read),
            "noisy score": using(estimators.score, std, slope=slope, read=read),
            "wiener": using(estimators.wiener, std, read=read),
        },
    )
    g, rows = case.gradient, case.rows
    check(rows["covariance"], g)
    check(rows["noisy read-back"], g)
    check(rows["score"], case.total)
    check(rows["noisy score"], case.total)
    check(rows["naive"], g * std**2 / np.mean(std**2))
    check(rows["wiener"], g * std**2 / (std**2 + read**2))
    for name in ("naive", "lms"):
        assert rows[name].cosine(g) < 0.85
        assert rows[name].slope(g)[0] > 1.2
    assert rows["covariance"].power > 2 * rows["naive"].power
    assert rows["wiener"].power < 0.5 * rows["noisy read-back"].power


def test_offsets_of_the_arrays():
    """An offset common to both arrays does not matter, but ruins a single array.

    Different offsets add dm·E ΔL/2σ² to a dual estimate that is not corrected for them, and
    m·E(L_A − L(w))/σ² to one of a single array.
    """
    offset = (0.02 * LIMIT).astype("f4")
    rows = {"dual": using(estimators.covariance, STD), "single": single_array(STD)}

    common = run(gaussian(STD, (offset, offset)), rows)
    check(common.rows["dual"], common.gradient)
    bias = offset * (common.losses[0] - CLEAN_LOSS) / STD**2
    check(common.rows["single"], common.gradient + bias)
    assert common.rows["single"].cosine(common.gradient) < 0.3

    different = run(gaussian(STD, (offset, 0.0)), {"dual": rows["dual"]})
    bias = offset * (different.losses[0] - different.losses[1]) / (2 * STD**2)
    check(different.rows["dual"], different.gradient + bias)
    assert different.rows["dual"].cosine(different.gradient) < 0.5


def test_skewed_noise_needs_its_own_score():
    """Log-normal noise of 5 % and skewness 3.7: only the score form keeps the direction."""
    shape, std = 0.78, of_weights(0.05)
    width = std / np.float32(math.sqrt(math.exp(shape**2) * (math.exp(shape**2) - 1)))
    mean = np.float32(math.exp(shape**2 / 2))

    def law(rng):
        weights = W + width * (np.exp(np.float32(shape) * standard(rng)) - mean)
        return Arrays(weights, weights)

    def own_score(losses, stored, rng):
        y = (stored - W) / width + mean  # log-normal with median 1
        scores = (1 + np.log(y) / shape**2) / (width * y)
        return estimators.from_scores(losses[0] - losses[1], scores)

    rows = {"score": own_score, "covariance": using(estimators.covariance, std)}
    case = run(law, rows)
    check(case.rows["score"], case.gradient)
    assert case.rows["covariance"].excess(case.gradient) > 10
    assert case.rows["covariance"].cosine(case.gradient) < 0.8
    assert case.rows["score"].power > 5 * case.rows["covariance"].power


def test_noise_of_an_acceptance_band():
    """Uniform noise is symmetric: no Stein identity, but no bias that shows either."""

    def law(rng):
        unit = rng.random((2, CHUNK, SIZE), dtype=np.float32) - np.float32(0.5)
        weights = W + STD * np.float32(math.sqrt(12)) * unit
        return Arrays(weights, weights)

    case = run(law, {"covariance": using(estimators.covariance, STD)})
    check(case.rows["covariance"], case.gradient)


def test_drift_between_read_back_and_forward_passes():
    """A common gain κ scales the estimate by κ; the cross-covariance 2κσ² undoes it."""
    gain = np.float32(0.9)

    def law(rng):
        deviation = STD * standard(rng)
        return Arrays(W + gain * deviation, W + deviation)

    rows = {
        "covariance": using(estimators.covariance, STD),
        "cross-covariance": using(estimators.covariance, STD * np.sqrt(gain)),
    }
    case = run(law, rows)
    check(case.rows["covariance"], gain * case.gradient)
    check(case.rows["cross-covariance"], case.gradient)


def test_relaxation_after_the_read_back():
    """Independent relaxation of 0.5 σ that the read-back has missed is only noise of the loss."""

    def law(rng):
        stored = W + STD * standard(rng)
        return Arrays(stored + np.float32(0.5) * STD * standard(rng), stored)

    case = run(law, {"covariance": using(estimators.covariance, STD)})
    check(case.rows["covariance"], case.gradient)


def test_read_noise_of_the_forward_passes():
    """Fresh read noise of 1 % per device in every matrix–vector product does not bias."""
    per_input = [float(of_weights(0.01)[0]), float(of_weights(0.01)[-1])]

    def noise(rng):
        def draw(layer, signal):
            unit = rng.standard_normal((2 * CHUNK, SAMPLES, SHAPES[layer][0]), dtype=np.float32)
            unit *= per_input[layer] * np.linalg.norm(signal, axis=-1, keepdims=True)
            return unit

        return draw

    case = run(gaussian(STD), {"covariance": using(estimators.covariance, STD)}, noise)
    check(case.rows["covariance"], case.gradient)


def test_the_check_refuses_wrong_estimators():
    """A wrong factor, a wrong sign, or cells that learn nothing do not pass ``check``."""
    right = using(estimators.covariance, STD)
    without_biases = np.ones(SIZE)
    without_biases[10 : SIZES[0] : 11] = without_biases[SIZES[0] + 16 :: 17] = 0.0
    wrong = {
        "5 % too large": lambda *seen: 1.05 * right(*seen),
        "factor 2": lambda *seen: 2 * right(*seen),
        "sign": lambda *seen: -right(*seen),
        "biases lost": lambda *seen: without_biases * right(*seen),
        "layers not told apart": using(estimators.naive, STD),
    }
    case = run(gaussian(STD), wrong)
    for estimate in case.rows.values():
        with pytest.raises(AssertionError):
            check(estimate, case.gradient)


# Corners of the estimators themselves.


def observation(std, **changes):
    rng = stream(4)
    settings = {
        "loss_difference": rng.standard_normal((2, 3)),
        "written": np.zeros(5),
        "read_back": rng.standard_normal((2, 2, 3, 5)),
        "write_noise": WriteNoise(std=std, std_slope=np.zeros(5), density="gaussian"),
        "read_back_std": np.zeros(()),
    }
    return Observation(**{**settings, **changes})


@pytest.mark.parametrize("name", estimators.ESTIMATORS)
def test_leading_axes_are_independent_observations(name):
    seen = observation(np.array([0.1, 0.2, 0.3, 0.4, 0.5]), read_back_std=np.float64(0.1))
    together = estimators.ESTIMATORS[name](seen)
    assert together.shape == (2, 3, 5)
    one = observation(
        seen.write_noise.std,
        loss_difference=seen.loss_difference[1, 2],
        read_back=seen.read_back[:, 1, 2],
        read_back_std=seen.read_back_std,
    )
    np.testing.assert_allclose(estimators.ESTIMATORS[name](one), together[1, 2], rtol=1e-12)


@pytest.mark.parametrize("name", ["naive", "covariance", "wiener", "score"])
def test_cells_without_noise_stay_finite(name):
    """A cell that does not vary shows nothing: zero, not an infinite step."""
    std = np.array([0.1, 0.0, 0.1, 0.0, 0.1])
    read_back = observation(std).read_back * std
    estimate = estimators.ESTIMATORS[name](observation(std, read_back=read_back))
    assert np.isfinite(estimate).all()
    assert (estimate[..., 1::2] == 0).all()
    assert (estimate[..., 0::2] != 0).all()


def test_score_refuses_noise_that_is_not_gaussian():
    uniform = WriteNoise(std=np.ones(5), std_slope=np.zeros(5), density="uniform")
    with pytest.raises(InputError, match=r"Gaussian.*covariance"):
        estimators.score(observation(np.ones(5), write_noise=uniform))


def test_gaussian_score_is_the_derivative_of_the_log_density():
    held, targets, step = np.array([0.3, -0.2, 1.1]), np.array([0.1, 0.0, 0.9]), 1e-6

    def log_density(w):
        std = 0.2 + 0.1 * w
        return -np.log(std) - (held - w) ** 2 / (2 * std**2)

    expected = (log_density(targets + step) - log_density(targets - step)) / (2 * step)
    scores = estimators.gaussian_score(
        held - targets, 0.2 + 0.1 * targets, np.full(3, 0.1), np.zeros(3)
    )
    np.testing.assert_allclose(scores, expected, rtol=1e-8)


def test_gaussian_score_has_zero_mean_with_and_without_read_back_noise():
    """Exact expectation over N(0, σ² + σ_r²) by Gauss–Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(8)
    for read in (0.0, 0.3):
        deviation = nodes * math.hypot(0.2, read)
        scores = estimators.gaussian_score(
            deviation, np.float64(0.2), np.float64(0.7), np.float64(read)
        )
        assert weights @ scores == pytest.approx(0, abs=1e-12)


# The same through devices, crossbars and converters.

TINY = (5, 5), (3, 6)
TINY_SIZE = 43


def cell(**options):
    """50 to 100 µS above a floor of zero: no write ever clips."""
    settings = {"write_noise": ConstantNoise(sigma=1e-6), **options}
    return Cell(name="test", conductance_min=50e-6, conductance_max=100e-6, **settings)


def on_crossbars(device, **converters):
    """A 4-5-3 network, its weights, inputs and labels."""
    rng = stream(5)
    hardware = zo.mapping.rram(device, precision="float64", **converters)
    network = mlp([4, 5, 3], hardware=hardware, activation="tanh")
    weights = network.initial_parameters(rng).astype(float)
    return network, weights, rng.uniform(-1, 1, (32, 4)), rng.integers(0, 3, 32)


def exact_gradients(arrays, x, labels):
    inputs = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    return backpropagate(arrays, inputs, labels, TINY)[1]


def observed(network, weights, arrays, x, labels, rng):
    """What the first and the second half of many copies show, pair by pair."""
    losses = cross_entropy(arrays.forward(x, rng=rng), labels)
    half = len(losses) // 2
    return Observation(
        loss_difference=losses[:half] - losses[half:],
        written=weights,
        read_back=arrays.read_back(rng=rng).reshape(2, half, -1),
        write_noise=network.write_noise(weights),
        read_back_std=network.read_back_std(weights),
    )


@pytest.mark.parametrize("bits", [None, 8])
def test_programmed_pairs_estimate_the_gradient(bits):
    """2 % write noise and 1 % read-back noise on simulated arrays, with and without converters."""
    network, weights, x, labels = on_crossbars(
        cell(read_back_noise=ConstantNoise(sigma=0.5e-6)),
        dac=bits and DAC(bits=bits),
        adc=bits and ADC(bits=bits),
    )
    rng = stream(6)
    covariance, wiener, gradients = Estimate(), Estimate(), []
    for _ in range(60):
        arrays = network.program(weights, rng=rng, copies=1000)
        assert arrays.ledger.clipped_cells == 0
        seen = observed(network, weights, arrays, x, labels, rng)
        covariance.add(estimators.covariance(seen))
        wiener.add(estimators.wiener(seen))
        gradients.append(exact_gradients(arrays.truth, x, labels).mean(axis=0))
    g = np.mean(gradients, axis=0)
    # A converter's step of 1.25/127 of the window, against pairs of 2 % and 1 % devices.
    rounding = 0 if bits is None else (1.25 / 127) ** 2 / 12
    check(covariance, g)
    check(wiener, g * 2 * 0.02**2 / (2 * 0.02**2 + 2 * 0.01**2 + rounding))
    assert covariance.power == pytest.approx(
        wiener.power * (1.25 + rounding / (2 * 0.02**2)) ** 2, rel=1e-3
    )


def test_score_on_devices_whose_noise_grows_with_conductance():
    """The pull towards quiet states, from numerical derivatives of what the hardware declares.

    Near a minimum of the loss and with noise from 1 % to 15 % that pull is a third of the
    gradient: the covariance form, which lacks it, and the score form have different means.
    """
    law = PolynomialNoise(coefficients=(-9.0, 0.19), scale=1e-6, reference=1e-6)
    network, weights, x, labels = on_crossbars(cell(write_noise=law), dac=None, adc=None)
    for _ in range(200):
        weights = np.clip(weights - 0.5 * exact_gradients(weights[None], x, labels)[0], -2, 2)
    noise, step = network.write_noise(weights), 1e-6
    above, below = network.write_noise(weights + step), network.write_noise(weights - step)
    slope = (above.std - below.std) / (2 * step)
    rng = stream(7)
    score, covariance, gradients, totals = Estimate(), Estimate(), [], []
    for _ in range(100):
        arrays = network.program(weights, rng=rng, copies=1000)
        assert arrays.ledger.clipped_cells == 0
        seen = observed(network, weights, arrays, x, labels, rng)
        score.add(estimators.score(seen))
        covariance.add(estimators.covariance(seen))
        slopes = exact_gradients(arrays.truth, x, labels)
        gradients.append(slopes.mean(axis=0))
        response = 1 + slope * (arrays.truth - weights) / noise.std
        totals.append((response * slopes).mean(axis=0))
    gradient_at_fixed_noise, total = np.mean(gradients, axis=0), np.mean(totals, axis=0)
    check(covariance, gradient_at_fixed_noise)
    check(score, total)
    assert score.slope(gradient_at_fixed_noise)[0] < 0.8


@pytest.mark.parametrize("equalize", [False, True])
def test_steps_of_the_trainer_follow_the_gradient(equalize):
    """What :class:`NoiseZO` subtracts from the master copy, step by step from the same point."""
    network, weights, x, labels = on_crossbars(
        cell(write_noise=PolynomialNoise(coefficients=(-0.2, 0.02), scale=1e-6, reference=1e-6))
    )
    rate = 1e-3  # small enough that no step ends at the limits of the weights
    method = NoiseZO(learning_rate=rate, momentum=0.0, estimator="covariance", equalize=equalize)
    trainer = method.start(network, weights, rng=stream(8))
    estimate = Estimate()
    for _ in range(50):
        steps = np.empty((60, TINY_SIZE))
        for step in steps:
            trainer.parameters = weights.copy()
            trainer.step(lambda: (x, labels), 0.0)
            step[:] = (weights - trainer.parameters) / rate
        estimate.add(steps)
    truth = trainer.network.program(weights, rng=stream(9), copies=20_000).truth
    check(estimate, exact_gradients(truth, x, labels).mean(axis=0))
