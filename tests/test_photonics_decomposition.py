"""Decomposition of unitary matrices into the phases of ideal meshes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg

from zerohm import InputError
from zerohm._random import stream
from zerohm.photonics import (
    Layout,
    Mesh,
    Phases,
    butterfly,
    clements,
    decompose,
    diamond,
    named_layout,
    reck,
)
from zerohm.photonics.decomposition import in_one_turn, nullings

UNIVERSAL = ("clements", "reck", "diamond")
TURN = 2 * np.pi


def haar(ports, rng):
    """A unitary matrix from the uniform distribution."""
    normal = rng.standard_normal((2, ports, ports))
    q, r = np.linalg.qr(normal[0] + 1j * normal[1])
    return q * np.exp(1j * np.angle(np.diag(r)))


def embedded(layout, phases):
    """Matrix of an ideal mesh as the product of its MZIs, each one a full matrix."""
    matrix = np.eye(layout.lines, dtype=complex)
    for m in range(layout.mzis):
        u, v, half, phi = layout.upper[m], layout.lower[m], phases.theta[m] / 2, phases.phi[m]
        cell = np.eye(layout.lines, dtype=complex)
        common = 1j * np.exp(1j * half)
        cell[u, u], cell[u, v] = common * np.exp(1j * phi) * np.sin(half), common * np.cos(half)
        cell[v, u], cell[v, v] = common * np.exp(1j * phi) * np.cos(half), -common * np.sin(half)
        matrix = cell @ matrix
    ports = layout.ports
    return np.exp(1j * phases.gamma)[:, None] * matrix[:ports, :ports]


def distance(one, other):
    """Largest distance of phases on the circle."""
    return max(
        np.abs(np.angle(np.exp(1j * (np.asarray(a) - b)))).max(initial=0.0)
        for a, b in zip(one, other, strict=True)
    )


def check(matrix, layout, tolerance=1e-13):
    """The phases of a matrix, after a look at their ranges, their gauge and what they make."""
    phases = decompose(matrix, layout)
    theta, phi, gamma = phases
    assert theta.shape == phi.shape == (layout.mzis,)
    assert gamma.shape == (layout.ports,)
    assert all(np.isfinite(part).all() for part in phases)
    assert np.all((theta >= 0) & (theta <= np.pi))
    assert all(np.all((part >= 0) & (part < TURN)) for part in (phi, gamma))
    assert np.all(phi[(theta == 0) | (theta == np.pi)] == 0)
    made = Mesh(layout, *phases).matrix()
    np.testing.assert_allclose(made, matrix, rtol=0, atol=tolerance)
    return phases


@pytest.mark.parametrize("name", [*UNIVERSAL, "butterfly"])
def test_the_mesh_is_the_product_of_its_embedded_mzis(name):
    """What the other tests look through, Mesh.matrix, agrees with the convention written out."""
    layout, rng = named_layout(name, 4), stream(1, name)
    phases = Phases(*(rng.uniform(0, TURN, n) for n in (layout.mzis, layout.mzis, 4)))
    np.testing.assert_allclose(
        Mesh(layout, *phases).matrix(), embedded(layout, phases), rtol=0, atol=1e-14
    )


@pytest.mark.parametrize("ports", [1, 2, 3, 5, 8, 64])
@pytest.mark.parametrize("name", UNIVERSAL)
def test_a_random_unitary_is_reproduced(name, ports):
    """Every universal layout carries out a Haar-random matrix to rounding."""
    layout, matrix = named_layout(name, ports), haar(ports, stream(2, name, ports))
    phases = check(matrix, layout)
    if ports <= 8:
        np.testing.assert_allclose(embedded(layout, phases), matrix, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", ["clements", "reck"])
def test_256_ports_are_reproduced(name):
    """The round-trip error at N = 256 is below 1e-12 in the Frobenius norm, unitarity too."""
    layout, matrix = named_layout(name, 256), haar(256, stream(3))
    made = Mesh(layout, *check(matrix, layout)).matrix()
    assert np.linalg.norm(made - matrix) < 1e-12
    assert np.abs(made.conj().T @ made - np.eye(256)).max() < 1e-12


@given(
    name=st.sampled_from(UNIVERSAL),
    ports=st.integers(1, 12),
    seed=st.integers(0, 2**32),
    real=st.booleans(),
)
def test_any_unitary_is_reproduced(name, ports, seed, real):
    """Random complex and real orthogonal matrices of any size, on every universal layout."""
    matrix = haar(ports, stream(seed))
    check(np.linalg.qr(matrix.real)[0] if real else matrix, named_layout(name, ports))


@given(name=st.sampled_from(("clements", "reck", "butterfly")), seed=st.integers(0, 2**32))
def test_the_phases_of_a_matrix_are_unique(name, seed):
    """The phases from which a matrix was made come back, away from bar and cross."""
    layout, rng = named_layout(name, 8), stream(seed)
    phases = Phases(
        rng.uniform(0.2, np.pi - 0.2, layout.mzis),
        rng.uniform(0, TURN, layout.mzis),
        rng.uniform(0, TURN, 8),
    )
    assert distance(decompose(Mesh(layout, *phases).matrix(), layout), phases) < 1e-9


def degenerate(ports, rng):
    """Matrices with many zeros or equal elements, by what they are."""
    block = max(ports // 2, 1)
    matrices = {
        "identity": np.eye(ports),
        "minus identity": -np.eye(ports),
        "diagonal": np.diag(np.exp(1j * rng.uniform(0, TURN, ports))),
        "reversal": np.eye(ports)[::-1],
        "cyclic shift": np.roll(np.eye(ports), 1, axis=0),
        "permutation": np.eye(ports)[rng.permutation(ports)],
        "blocks": linalg.block_diag(haar(block, rng), haar(ports - block, rng))
        if ports > 1
        else np.eye(1),
        "Fourier": linalg.dft(ports, scale="sqrtn"),
        "Householder": np.eye(ports) - 2 / ports,
    }
    if ports & (ports - 1) == 0:
        matrices["Hadamard"] = linalg.hadamard(ports) / np.sqrt(ports)
    return matrices


@pytest.mark.parametrize("ports", [1, 2, 3, 4, 5, 8, 16])
@pytest.mark.parametrize("name", UNIVERSAL)
def test_degenerate_matrices_have_definite_phases(name, ports):
    """No NaN, and phases that rounding in the matrix does not change: the gauge is a rule."""
    layout, rng = named_layout(name, ports), stream(4, ports)
    for kind, matrix in degenerate(ports, rng).items():
        phases = check(matrix, layout)
        noise = 1e-16 * rng.standard_normal((2, ports, ports))
        again = check(matrix + noise[0] + 1j * noise[1], layout)
        assert distance(phases, again) < 1e-11, kind


@pytest.mark.parametrize("name", UNIVERSAL)
def test_the_identity_is_all_bar(name):
    """The identity, on which peers return NaN, is θ = π, φ = 0, γ = 0 or π exactly."""
    theta, phi, gamma = decompose(np.eye(6), named_layout(name, 6))
    assert np.all(theta == np.pi)
    assert np.all(phi == 0)
    assert set(gamma) <= {0.0, np.pi}


def test_the_gauge_test_can_fail():
    """Without a rule for bar MZIs, rounding would decide φ: the naive formula shows it."""
    tiny = np.array([1e-17, 1e-17j])  # two roundings of an element that is zero
    phi = np.angle(tiny) - np.angle(1.0)
    assert distance([phi[:1]], [phi[1:]]) > 1


def test_a_diamond_is_a_triangle_with_bar_mzis():
    """The MZIs between the ports are those of the triangle, the others pass the light on."""
    matrix, large, small = haar(7, stream(5)), diamond(7), reck(7)
    inside = large.lower < 7
    phases = decompose(matrix, large)
    np.testing.assert_allclose(
        phases.theta[inside], decompose(matrix, small).theta, rtol=0, atol=1e-14
    )
    assert np.all(phases.theta[~inside] == np.pi)
    assert np.all(phases.phi[~inside] == 0)


@pytest.mark.parametrize("ports", [1, 2, 4, 8, 64])
def test_a_butterfly_is_programmed_within_its_family(ports):
    """Matrices made by a butterfly, degenerate ones too, come back."""
    layout, rng = butterfly(ports), stream(6, ports)
    edges = np.array([0.0, np.pi])
    for theta in (rng.uniform(0, np.pi, layout.mzis), rng.choice(edges, layout.mzis)):
        phases = Phases(theta, rng.uniform(0, TURN, layout.mzis), rng.uniform(0, TURN, ports))
        check(Mesh(layout, *phases).matrix(), layout)
    for matrix in (np.eye(ports), np.eye(ports)[::-1], linalg.dft(2, scale="sqrtn")):
        if len(matrix) == ports:
            check(matrix, layout)


def test_a_butterfly_refuses_other_matrices():
    """A unitary matrix outside the family is refused, saying by how much and what to take."""
    with pytest.raises(InputError, match=r"no butterfly: .* leave [0-9.]+ .*'clements'"):
        decompose(haar(8, stream(7)), butterfly(8))
    check(haar(2, stream(7)), butterfly(2))


def test_the_butterfly_takes_the_fourier_transform_in_its_order():
    """The fast Fourier transform's graph carries out the DFT with bit-reversed inputs."""
    reversed_bits = [int(f"{i:04b}"[::-1], 2) for i in range(16)]
    check(linalg.dft(16, scale="sqrtn")[:, reversed_bits], butterfly(16))


@pytest.mark.parametrize("name", UNIVERSAL)
@pytest.mark.parametrize("ports", [1, 2, 5, 8])
def test_every_mzi_between_the_ports_is_stripped_once(name, ports):
    """The sequence of nullings is a permutation of the MZIs of the rectangle or triangle."""
    layout = named_layout(name, ports)
    steps = nullings(layout)
    assert sorted(steps.mzi) == list(np.flatnonzero(layout.lower < ports))
    assert len(steps.mzi) == ports * (ports - 1) // 2


@given(st.floats(-1e6, 1e6))
def test_phases_are_brought_into_one_turn(phase):
    """Also tiny negative numbers, whose remainder rounds to 2π."""
    turned = float(in_one_turn(np.array([phase]))[0])
    assert 0 <= turned < TURN
    assert distance([np.array([turned])], [phase]) < 1e-9


def test_a_tiny_negative_phase_is_zero():
    """−1e-20 modulo 2π is 2π in floating point, which is no phase here."""
    assert np.mod(-1e-20, TURN) == TURN
    assert in_one_turn(np.array([-1e-20]))[0] == 0


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.ones((3, 4)), r"square; this one has the shape \(3, 4\)"),
        (np.ones(3), r"square"),
        (np.eye(4), r"matrix of 4 × 4 for a mesh of 3 ports: take named_layout\('clements', 4\)"),
        (np.diag([1, np.nan, 1]), r"1 elements of the matrix are not finite"),
        (np.diag([1, np.inf, 1]), r"1 elements of the matrix are not finite"),
        (1.1 * np.eye(3), r"not unitary: U†U − 1 has elements up to 0.21 .* singular value"),
        (np.diag([1, 1, 1e200]), r"not unitary: U†U − 1 has elements up to inf"),
        (1e200 * (1 + 1j) * np.ones((3, 3)), r"not unitary: U†U − 1 has elements up to nan"),
        ([[1, 2], [3]], r"array of complex numbers"),
        ([["a"]], r"array of complex numbers"),
        (np.zeros((3, 3)), r"not unitary: U†U − 1 has elements up to 1 "),
        (np.eye(3) + 1e-7, r"not unitary: U†U − 1 has elements up to 2e-07 \(allowed 1e-09\)"),
    ],
)
def test_unusable_matrices_are_refused(matrix, message):
    """With what is wrong, by how much, and what to do."""
    with pytest.raises(InputError, match=message):
        decompose(matrix, clements(3))


def test_an_unknown_layout_is_refused():
    """A layout without a sequence of nullings is named, with those that have one."""
    mesh = clements(3)
    own = Layout(
        name="own",
        ports=3,
        lines=3,
        columns=3,
        column=mesh.column,
        upper=mesh.upper,
        lower=mesh.lower,
        universal=True,
    )
    with pytest.raises(InputError, match=r"layout 'own'.*clements, diamond, reck"):
        decompose(np.eye(3), own)


def test_the_matrix_is_not_changed():
    """Decomposition works on a copy."""
    matrix = haar(5, stream(8))
    before = matrix.copy()
    decompose(matrix, clements(5))
    np.testing.assert_array_equal(matrix, before)


def test_compiled_and_interpreted_kernels_agree(outputs_with_and_without_compiler):
    """The kernels are plain Python: without numba's compiler they give the same phases."""
    script = """
import numpy as np
from zerohm.photonics import butterfly, clements, decompose, diamond
turned = np.exp(0.3j * np.outer(range(4), range(4)) + np.eye(4))
unitary = np.linalg.qr(turned)[0]
for layout in (clements(4), diamond(4)):
    print([part.round(9).tolist() for part in decompose(unitary, layout)])
print([part.round(9).tolist() for part in decompose(np.kron(*[unitary[:2, :2] * 0 + [[.6, .8j],
    [.8j, .6]]] * 2), butterfly(4))])
"""
    assert len(outputs_with_and_without_compiler(script)) == 1
