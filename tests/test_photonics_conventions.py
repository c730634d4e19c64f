"""Phases in the conventions of Clements 2016 and of neurophox, pinned by golden values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zerohm import InputError
from zerohm._random import stream
from zerohm.photonics import Mesh, Phases, clements, decompose, named_layout
from zerohm.photonics.conventions import from_convention, to_convention

TURN = 2 * np.pi

# First and other rows of the matrix that neurophox itself gives for the phases of golden_phases.
GOLDEN = {
    (2, 0): [0.047747 + 0.014770j, 0.998750],
    (2, 1): [0.938199 + 0.342469j, -0.049917 - 0.002498j],
    (3, 0): [0.104663 - 0.098762j, -0.060642 + 0.019700j, -0.987535],
    (4, 0): [
        -0.068877 - 0.189082j,
        -0.072805 + 0.309825j,
        -0.322580 - 0.271195j,
        -0.824989,
    ],
    (4, 3): [
        0.153765 - 0.848843j,
        0.129346 - 0.215979j,
        -0.192964 - 0.274969j,
        0.255026 + 0.120679j,
    ],
    (5, 0): [
        -0.172583 - 0.069706j,
        0.309705 + 0.157324j,
        0.033021 - 0.050849j,
        0.556406 - 0.408717j,
        0.603635,
    ],
}


def golden_phases(ports):
    """θ, φ (N, N//2) and γ (N,) of the golden values."""
    k = np.arange(ports * (ports // 2)).reshape(ports, ports // 2)
    return 0.1 + 0.2 * k, 0.3 + 0.1 * k, 0.05 * np.arange(ports)


def neurophox(theta, phi, gamma, edge=-1j):
    """Row-convention matrix out = in U of neurophox's rectangular mesh, column by column."""
    ports = len(gamma)
    fields = np.diag(np.exp(1j * np.asarray(gamma)))  # one row per input
    for column in range(ports):
        first = column % 2
        for k, j in enumerate(range(first, ports - 1, 2)):
            s, c = np.sin(theta[column, k] / 2), np.cos(theta[column, k] / 2)
            a, b = fields[:, j].copy(), fields[:, j + 1].copy()
            fields[:, j] = 1j * np.exp(1j * phi[column, k]) * (s * a + c * b)
            fields[:, j + 1] = 1j * (c * a - s * b)
        if first == 1 and ports % 2 == 0:
            fields[:, [0, -1]] *= edge
    return fields


def clements2016(t, phi, diagonal, layout):
    """Column-convention matrix of a mesh of the MZIs of Clements 2016."""
    matrix = np.eye(layout.lines, dtype=complex)
    for m in range(layout.mzis):
        pair, turn = [layout.upper[m], layout.lower[m]], np.exp(1j * phi[m])
        s, c = np.sin(t[m]), np.cos(t[m])
        matrix[pair] = np.array([[turn * c, -s], [turn * s, c]]) @ matrix[pair]
    ports = layout.ports
    return np.exp(1j * diagonal)[:, None] * matrix[:ports, :ports]


def random_phases(layout, rng):
    """Any phases, θ beyond π too."""
    sizes = (layout.mzis, layout.mzis, layout.ports)
    return Phases(*(rng.uniform(0, TURN, n) for n in sizes))


@pytest.mark.parametrize(("ports", "row"), GOLDEN)
def test_the_reference_of_these_tests_gives_neurophox_golden_values(ports, row):
    """And without the factor −i on the edge lines of even meshes it would not."""
    expected = GOLDEN[ports, row]
    found = neurophox(*golden_phases(ports))[row]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1.1e-6)
    if ports % 2 == 0:
        without = neurophox(*golden_phases(ports), edge=1)[row]
        assert np.abs(without - expected).max() > 0.1


@pytest.mark.parametrize("ports", [2, 3, 4, 5])
def test_neurophox_phases_make_the_golden_matrix_here(ports):
    """Its matrix, for row vectors, is the transpose of that of the same mesh here."""
    layout = clements(ports)
    phases = from_convention("neurophox", golden_phases(ports), layout)
    made = Mesh(layout, *phases).matrix()
    for (size, row), expected in GOLDEN.items():
        if size == ports:
            np.testing.assert_allclose(made[:, row], expected, rtol=0, atol=1.1e-6)
    np.testing.assert_allclose(made, neurophox(*golden_phases(ports)).T, rtol=0, atol=1e-14)


@pytest.mark.parametrize("ports", [2, 3, 4, 5])
def test_the_golden_matrix_decomposes_into_neurophox_phases(ports):
    """Decomposed here, in neurophox's convention it is the same matrix again, with its θ."""
    golden, layout = golden_phases(ports), clements(ports)
    matrix = neurophox(*golden)
    there = to_convention("neurophox", decompose(matrix.T, layout), layout)
    np.testing.assert_allclose(neurophox(*there), matrix, rtol=0, atol=1e-14)
    # Its θ beyond π mean the same splitting ratio as 2π − θ.
    is_mzi = np.ones_like(golden[0], dtype=bool)
    is_mzi[1::2, -1] = ports % 2 == 1
    folded = np.abs(np.angle(np.exp(1j * golden[0])))
    np.testing.assert_allclose(there[0][is_mzi], folded[is_mzi], rtol=0, atol=1e-12)
    assert np.all(there[0][~is_mzi] == np.pi)
    assert np.all(there[1][~is_mzi] == np.pi)


@given(ports=st.integers(1, 9), seed=st.integers(0, 2**32))
def test_neurophox_phases_do_the_same_as_ours(ports, seed):
    """To neurophox and back, for any phases: each mesh has the same (transposed) matrix."""
    layout = clements(ports)
    phases = random_phases(layout, stream(seed))
    matrix = Mesh(layout, *phases).matrix()
    there = to_convention("neurophox", phases, layout)
    assert all(np.all((part >= 0) & (part < TURN)) for part in there)
    np.testing.assert_allclose(neurophox(*there).T, matrix, rtol=0, atol=1e-13)
    back = from_convention("neurophox", there, layout)
    for before, after in zip(phases, back, strict=True):
        np.testing.assert_allclose(np.exp(1j * after), np.exp(1j * before), rtol=0, atol=1e-12)


@given(
    name=st.sampled_from(["clements", "reck", "diamond", "butterfly"]),
    seed=st.integers(0, 2**32),
)
def test_clements_phases_do_the_same_as_ours(name, seed):
    """To the convention of Clements 2016 and back, on every layout; t lies in [0, π/2]."""
    layout = named_layout(name, 4)
    phases = random_phases(layout, stream(seed))
    matrix = Mesh(layout, *phases).matrix()
    t, phi, diagonal = to_convention("clements2016", phases, layout)
    assert np.all((t >= 0) & (t <= np.pi / 2))
    assert all(np.all((part >= 0) & (part < TURN)) for part in (phi, diagonal))
    np.testing.assert_allclose(clements2016(t, phi, diagonal, layout), matrix, rtol=0, atol=1e-13)
    back = from_convention("clements2016", (t, phi, diagonal), layout)
    np.testing.assert_allclose(Mesh(layout, *back).matrix(), matrix, rtol=0, atol=1e-13)


def test_clements_angles_beyond_a_quarter_turn_are_understood():
    """Any t, as other decompositions give it, makes the same matrix here."""
    layout, rng = clements(5), stream(2)
    given = (*rng.uniform(-9, 9, (2, layout.mzis)), rng.uniform(-9, 9, 5))
    made = Mesh(layout, *from_convention("clements2016", given, layout)).matrix()
    np.testing.assert_allclose(made, clements2016(*given, layout), rtol=0, atol=1e-13)


@pytest.mark.parametrize("convention", ["clements2016", "neurophox"])
def test_the_identity_has_finite_phases_in_every_convention(convention):
    """Also where peers return NaN: the identity, in their own convention."""
    layout = clements(6)
    there = to_convention(convention, decompose(np.eye(6), layout), layout)
    assert all(np.isfinite(part).all() for part in there)
    back = from_convention(convention, there, layout)
    np.testing.assert_allclose(Mesh(layout, *back).matrix(), np.eye(6), rtol=0, atol=1e-14)


def test_unusable_input_is_refused():
    """Unknown conventions, other layouts, shapes and copies, by name."""
    layout = clements(4)
    phases = decompose(np.eye(4), layout)
    with pytest.raises(InputError, match=r"unknown convention 'clements'.*mean 'clements2016'"):
        to_convention("clements", phases, layout)
    with pytest.raises(InputError, match="unknown convention 'reck'"):
        from_convention("reck", phases, layout)
    reck = named_layout("reck", 4)
    with pytest.raises(InputError, match="is for layout 'clements', not 'reck'"):
        to_convention("neurophox", phases, reck)
    with pytest.raises(InputError, match=r"phi has the shape \(6,\); neurophox .* \(4, 2\)"):
        from_convention("neurophox", (np.ones((4, 2)), phases.phi, phases.gamma), layout)
    with pytest.raises(InputError, match="theta"):
        from_convention("clements2016", (np.ones(5), phases.phi, phases.gamma), layout)
    with pytest.raises(InputError, match="finite"):
        from_convention("clements2016", (np.full(6, np.nan), phases.phi, phases.gamma), layout)
    copies = Phases(*(np.stack([part, part]) for part in phases))
    with pytest.raises(InputError, match="one mesh at a time"):
        to_convention("clements2016", copies, layout)
