"""Gradients by every phase: against finite differences, closed forms and chain rules."""

import numpy as np
import pytest

from zerohm import InputError
from zerohm.photonics import Imperfections, Mesh, clements, gradient, named_layout

TURN = 2 * np.pi
WORN = Imperfections(loss_dB=0.5, waveguide_loss_dB=0.3, splitter_std=0.1)


def random_mesh(layout, rng, lead=(), process=WORN):
    count = layout.mzis
    return Mesh(
        layout,
        rng.uniform(0, TURN, (*lead, count)),
        rng.uniform(0, TURN, (*lead, count)),
        rng.uniform(0, TURN, (*lead, layout.ports)),
        process.fabricate(layout, rng, copies=lead[0] if lead else None),
    )


def random_fields(shape, rng):
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


class Loss:
    """Σ w |E|² + Re Σ v* E² / 2, real, neither linear nor blind to phases."""

    def __init__(self, shape, rng):
        self.w, self.v = rng.standard_normal(shape), random_fields(shape, rng)

    def __call__(self, out):
        return float(np.sum(self.w * np.abs(out) ** 2 + (np.conj(self.v) * out**2).real / 2))

    def slope(self, out):
        """∂L/∂E*."""
        return self.w * out + self.v * np.conj(out) / 2


def finite_difference(evaluate, values, step=3e-4):
    """Derivative by every entry, of the fourth order in the step."""
    found = np.zeros(values.shape)
    for index in np.ndindex(values.shape):
        moved = np.zeros(values.shape)
        moved[index] = step
        near = evaluate(values + moved) - evaluate(values - moved)
        far = evaluate(values + 2 * moved) - evaluate(values - 2 * moved)
        found[index] = (8 * near - far) / (12 * step)
    return found


def disagreement(found, expected):
    """Largest difference relative to the largest derivative."""
    return np.abs(found - expected).max(initial=0.0) / np.abs(expected).max(initial=1e-300)


@pytest.mark.parametrize(
    ("name", "ports"),
    [("clements", 1), ("clements", 2), ("clements", 5), ("reck", 4), ("diamond", 4),
     ("butterfly", 8)],
)  # fmt: skip
@pytest.mark.parametrize("process", [WORN, Imperfections()], ids=["worn", "ideal"])
def test_gradient_is_the_finite_difference(name, ports, process):
    """To 1e-7 for theta, phi and gamma of every layout; a batch longer than one block."""
    rng = np.random.default_rng(1)
    mesh = random_mesh(named_layout(name, ports), rng, process=process)
    fields = random_fields((37, ports), rng)
    loss = Loss((37, ports), rng)
    found = gradient(mesh, fields, loss.slope(mesh.propagate(fields)))
    for phase in ("theta", "phi", "gamma"):
        expected = finite_difference(
            lambda moved, phase=phase: loss(mesh.with_phases(**{phase: moved}).propagate(fields)),
            getattr(mesh, phase),
        )
        assert disagreement(getattr(found, phase), expected) < 1e-7


def test_another_gradient_would_be_noticed():
    """The comparison fails without the losses, and with δ in place of its conjugate."""
    rng = np.random.default_rng(2)
    mesh = random_mesh(clements(4), rng)
    fields, loss = random_fields((6, 4), rng), Loss((6, 4), rng)
    slope = loss.slope(mesh.propagate(fields))
    true = gradient(mesh, fields, slope).theta
    lossless = Mesh(mesh.layout, mesh.theta, mesh.phi, mesh.gamma)
    assert disagreement(gradient(lossless, fields, slope).theta, true) > 1e-2
    assert disagreement(gradient(mesh, fields, slope.conj()).theta, true) > 1e-2


def test_gradient_of_one_mzi():
    """Light in the upper input: the upper output has the power sin²(θ/2), the slope sin(θ)/2."""
    for theta in (0.0, 0.3, np.pi / 2, np.pi, 5.0):
        mesh = Mesh(clements(2), [theta], [0.7], [0.1, 0.2])
        light = np.array([[1.0, 0.0]])
        found = gradient(mesh, light, mesh.propagate(light) * [1.0, 0.0])
        assert found.theta[0] == pytest.approx(np.sin(theta) / 2, abs=1e-15)
        assert np.abs([*found.phi, *found.gamma]).max() < 1e-15


def test_gradient_of_the_input_fields():
    """∂L/∂E* at the inputs is U† times that at the outputs."""
    rng = np.random.default_rng(3)
    mesh = random_mesh(clements(6), rng)
    fields, slope = random_fields((40, 6), rng), random_fields((40, 6), rng)
    found = gradient(mesh, fields, slope).fields
    assert np.abs(found - slope @ mesh.matrix().conj()).max() < 1e-13


def test_power_of_a_lossless_mesh_has_no_gradient():
    """Phases cannot change the total power: an exact zero of the sum of large terms."""
    rng = np.random.default_rng(4)
    mesh = random_mesh(clements(16), rng, process=Imperfections(splitter_std=0.1))
    fields = random_fields((50, 16), rng)
    found = gradient(mesh, fields, mesh.propagate(fields))
    assert max(np.abs(part).max() for part in found[:3]) < 1e-11


def test_gradients_of_an_ensemble():
    """K copies in one call: the gradients of K single meshes, shared or own fields."""
    rng = np.random.default_rng(5)
    layout = clements(5)
    process = Imperfections(loss_dB=0.2)
    chip = process.fabricate(layout, 0)
    theta, phi, gamma = (rng.uniform(0, TURN, (3, size)) for size in (10, 10, 5))
    ensemble = Mesh(layout, theta, phi, gamma, chip)
    for shape in ((5,), (4, 5), (3, 4, 5)):
        fields = random_fields(shape, rng)
        slope = random_fields(ensemble.propagate(fields).shape, rng)
        found = gradient(ensemble, fields, slope)
        for k in range(3):
            one = Mesh(layout, theta[k], phi[k], gamma[k], chip)
            own = gradient(one, fields[k] if len(shape) == 3 else fields, slope[k])
            for together, alone in zip(found, own, strict=True):
                assert np.array_equal(together[k], alone)


def test_a_batch_is_a_sum():
    """The gradient of a batch is the sum over its vectors, whatever the block they fall into."""
    rng = np.random.default_rng(6)
    mesh = random_mesh(clements(4), rng)
    fields, slope = random_fields((70, 4), rng), random_fields((70, 4), rng)
    whole = gradient(mesh, fields, slope)
    singles = [gradient(mesh, f, s) for f, s in zip(fields, slope, strict=True)]
    for part in range(3):
        assert np.allclose(whole[part], sum(s[part] for s in singles), rtol=0, atol=1e-12)
    empty = gradient(mesh, fields[:0], slope[:0])
    assert not empty.theta.any()


@pytest.mark.parametrize(
    ("slope", "said"),
    [
        (np.ones((2, 3)), r"output_gradient has shape \(2, 3\), the output \(4, 3\)"),
        (np.full((4, 3), np.nan), "output_gradient must be finite"),
    ],
)
def test_unusable_gradients(slope, said):
    """Another shape than the output's, NaN."""
    mesh = random_mesh(clements(3), np.random.default_rng(7))
    with pytest.raises(InputError, match=said):
        gradient(mesh, np.ones((4, 3)), slope)


def test_compiled_and_interpreted_kernels_agree(outputs_with_and_without_compiler):
    """Without numba's compiler the kernels give the same bits, forwards and backwards."""
    script = """
import numpy as np
from zerohm.photonics import Imperfections, Mesh, clements, gradient
rng = np.random.default_rng(0)
layout, process = clements(3), Imperfections(splitter_std=0.1, loss_dB=0.3, waveguide_loss_dB=0.1)
phases = [rng.uniform(0, 6, 3) for _ in range(3)]
mesh = Mesh(layout, *phases, process.fabricate(layout, rng))
fields = rng.standard_normal((4, 3)) + 1j * rng.standard_normal((4, 3))
found = gradient(mesh, fields, mesh.propagate(fields))
print(mesh.matrix().tolist(), mesh.propagate(fields).tolist(), [x.tolist() for x in found])
"""
    assert len(outputs_with_and_without_compiler(script)) == 1
