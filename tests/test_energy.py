"""The energy, time and endurance of training: counts by hand, conservation, monotony, refusals."""

import json
import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from xarray.core.indexing import LazilyIndexedArray

from zerohm import InputError, datasets, devices, mapping, training
from zerohm.crossbar import ADC, DAC, PARTS
from zerohm.devices.faults import Endurance, Faults, StuckState
from zerohm.training.energy import (
    CONSTANTS,
    ENERGY_PARTS,
    Assumptions,
    CMOSDesign,
    RandomGenerator,
    Technology,
    Workload,
    bill,
    check_endurance,
    compare,
    endurance_budget,
    planned_writes,
    sensitivity,
    workloads,
)
from zerohm.training.energy.cmos import (
    periphery_energy,
    periphery_time,
    reference_energy,
    reference_time,
)
from zerohm.training.energy.constants import NODES
from zerohm.training.energy.workload import METHODS

PJ = 1e-12
equal = partial(pytest.approx, rel=1e-9, abs=0.0)  # energies lie far below the usual tolerance
SIZES = (2, 3, 2)  # layers (3 with bias, 3) and (4, 2): 17 parameters, 5 nodes, 6 inner weights
TINY = CMOSDesign(units=(2, 2))


def load(method: str, **changes: Any) -> Workload:
    """One update of the tiny network on three samples."""
    usual = {"sizes": SIZES, "optimiser": "plain", "batch": 3, "updates": 1, "passes": 2}
    return Workload(method=method, **(usual | changes))


def test_reference_of_a_tiny_network_counted_by_hand() -> None:
    """One MeZO update, every operation written down; all memories cost what 8 KiB cost."""
    spent = reference_energy(load("mezo"), TINY)
    sram8, sram32 = 10 * PJ * 8 / 64, 10 * PJ * 32 / 64
    fma = (3.7 + 0.9) * PJ
    # 2 passes × 3 samples × 17 products; per sample 5 nodes, softmax of 2 classes (3 series of 6).
    digital = 6 * 17 * 0.3 * PJ + 6 * (5 * fma + 3 * 6 * fma + 2 * 0.9 * PJ)
    # 2 groups of samples fetch 17 weights per pass. Signals: layer 1 reads 3 for each of 2 groups
    # of outputs, layer 2 reads 4 for one; 2 inputs and 5 nodes are written.
    buffers = 2 * 2 * 17 * sram8 + 6 * (2 * 3 + 4 + 2 + 5) * sram8
    # Two perturbed copies: master read, copy written. Update: master read and written.
    buffers += 2 * 17 * (sram32 + sram8) + 17 * 2 * sram32
    # Perturbing: a product, a sum and the rounding, twice; estimate and rate: two products, three
    # sums (the move and two comparisons).
    update = 2 * 17 * (fma + 3.7 * PJ) + 17 * (2 * 3.7 + 3 * 0.9) * PJ
    # Three draws per parameter of four bytes: 32 bits (a flip-flop, three gates) and three sums of
    # ten bits.
    draw = 32 * (0.03 / 8 + 3 * 0.03 / 16) * PJ + 3 * 10 / 8 * 0.03 * PJ
    assert spent["digital"] == equal(digital)
    assert spent["buffers"] == equal(buffers)
    assert spent["update"] == equal(update)
    assert spent["random"] == equal(3 * 17 * draw)
    assert all(spent[part] == 0 for part in PARTS if part != "digital")


def test_backpropagation_of_a_tiny_network_counted_by_hand() -> None:
    """One pass: products forward, of gradients, and of errors through the inner weights."""
    spent = reference_energy(load("backprop", passes=1), TINY)
    sram8, sram32 = 10 * PJ * 8 / 64, 10 * PJ * 32 / 64
    fma = 4.6 * PJ
    digital = 3 * (17 + 17 + 6) * 0.3 * PJ + 3 * (5 * fma + 18 * fma + 1.8 * PJ)
    forward = 2 * 17 * sram8 + 3 * 17 * sram8 + 17 * (sram32 + sram8)  # one rounded copy
    gradient_reads = (3 * 2 + 3 * 2) + (4 * 1 + 2 * 2)  # signals and errors, layer by layer
    errors = 2 * 2 + 3  # two errors read for each of two groups of three inputs, three written
    backward = 3 * (gradient_reads + errors) * sram8 + 2 * (2 * 17 * sram32 + 6 * sram8)
    update = 17 * 3 * sram32  # master read and written, gradient read
    assert spent["digital"] == equal(digital)
    assert spent["buffers"] == equal(forward + backward + update)
    assert spent["random"] == 0


def test_time_of_a_tiny_network_counted_by_hand() -> None:
    """Tiles of two samples and two outputs, one product per unit and cycle; two update lanes."""
    forward = 2 * (3 * 2 + 4 * 1)  # groups of samples × inputs × groups of outputs
    mezo = 2 * forward + 3 * 17 / 2 + 9
    assert reference_time(load("mezo"), TINY) == equal(mezo / 500e6)
    backprop = forward + 3 * math.ceil(23 / 4) + 9
    assert reference_time(load("backprop", passes=1), TINY) == equal(backprop / 500e6)
    assert periphery_time(load("noisezo"), TINY) == equal(9 / 500e6)


def test_periphery_of_a_tiny_network_counted_by_hand() -> None:
    """Around arrays: no product of weights, no weight fetched, no random number."""
    spent = periphery_energy(load("noisezo", programmings=1.0, codes=64.0), TINY)
    sram8, sram32 = 10 * PJ * 8 / 64, 10 * PJ * 32 / 64
    fma = 4.6 * PJ
    assert spent["digital"] == equal(64 * 0.1 * PJ + 6 * (23 * fma + 1.8 * PJ))
    assert spent["buffers"] == equal(6 * 14 * sram8 + 17 * 3 * sram32)
    assert spent["update"] == equal(17 * (4 * 3.7 + 3 * 0.9) * PJ)
    assert spent["random"] == 0


def test_gradients_of_node_noise_counted_by_hand() -> None:
    """Two passes make one gradient of three samples: products, noise sent forwards, differences."""
    spent = periphery_energy(load("node-noise", optimiser="adam"), TINY)
    sram8, sram32 = 10 * PJ * 8 / 64, 10 * PJ * 32 / 64
    fma = 4.6 * PJ
    gradient = 3 * ((17 + 6) * 0.3 * PJ + 5 * 2 * fma)
    assert spent["digital"] == equal(gradient + 6 * (23 * fma + 1.8 * PJ))
    reads = 20 + (2 * 2 + 3)  # as in backpropagation
    signals = 6 * 14 * sram8 + 3 * reads * sram8 + 2 * 6 * sram8
    master = 2 * 2 * 17 * sram32 + 17 * (2 * 3 + 1) * sram32
    assert spent["buffers"] == equal(signals + master)
    adam = 17 * (6 * 3.7 + 8 * 0.9 + 2 * 26.3) * PJ
    assert spent["update"] == equal(adam)


def test_added_products_are_digital_work_counted_by_hand() -> None:
    """51 products of three samples and 17 weights, four at a time; nothing else changes."""
    usual, added = load("noisezo"), load("noisezo", products=51.0)
    before, after = (periphery_energy(each, TINY) for each in (usual, added))
    assert after["digital"] - before["digital"] == equal(51 * 0.3 * PJ)
    assert all(after[part] == before[part] for part in ENERGY_PARTS if part != "digital")
    assert periphery_time(added, TINY) == equal((9 + 51 / 4) / 500e6)


@pytest.fixture(scope="module")
def rram_run() -> xr.Dataset:
    """A short run of NoiseZO on a network of two tiles per layer side."""
    cell = devices.preset("Wan2022").with_noise(write=0.02, read=0.0, read_back=0.01)
    hardware = mapping.rram(cell, tile=(40, 40))
    network = training.mlp([64, 32, 10], hardware=hardware)
    method = training.NoiseZO(equalize=False)
    task = datasets.load("digits")
    return training.fit(network, task, method=method, seed=0, passes=8, batch=4, evaluations=2)


def digital_run(method: str = "mezo", **settings: Any) -> xr.Dataset:
    """A short run on integer arithmetic."""
    usual = {"hardware": "int8", "passes": 8, "batch": 4, "evaluations": 2}
    return training.experiment(task="digits", method=method, **(usual | settings))


def test_formulas_of_the_claim_are_what_the_ledger_counts(rram_run: xr.Dataset) -> None:
    """Write, verify converters, read-back converters, DAC and ADC agree to rounding."""
    assumed = Assumptions(sizes=(64, 32, 10), batch=4, tile=(40, 40), cell_read=0.0)
    counted = rram_run.energy_J.isel(step=-1).to_series()
    spent = assumed.arrays
    for part in ("write", "dac", "adc"):
        assert counted[part] == equal(4 * spent[part])
    for part in ("verify", "read_back"):  # the cells' own share is small here, and not assumed
        assert 4 * spent[part] < counted[part] < 1.1 * 4 * spent[part]
    digital = bill(rram_run).energy_J.isel(step=-1).to_series()
    for part in ("digital", "update", "buffers", "random"):
        assert digital[part] == equal(4 * spent[part])


@pytest.mark.parametrize("part", ["array", "verify", "read_back"])
def test_reads_of_cells_follow_their_formula(rram_run: xr.Dataset, part: str) -> None:
    """The share of the cells in a part is proportional to the energy of reading one."""
    bare, single, double = (
        Assumptions(sizes=(64, 32, 10), batch=4, cell_read=energy).arrays[part]
        for energy in (0.0, 1e-14, 2e-14)
    )
    assert double - single == equal(single - bare)
    assert single > bare


def test_parts_add_up_and_grow(rram_run: xr.Dataset) -> None:
    """Conservation on both kinds of hardware; the ledger's own parts are kept."""
    for run in (rram_run, digital_run()):
        spent = bill(run)
        assert list(spent.part.values) == list(ENERGY_PARTS)
        np.testing.assert_allclose(spent.energy_J.sum("part"), spent.total_energy, rtol=1e-12)
        assert (spent.energy_J.diff("step") >= 0).all()
        assert (spent.total_energy.diff("step") > 0).all()
        assert (spent.time_s.diff("step") > 0).all()
        assert spent.energy_J.attrs["units"] == "J"
        assert spent.time_s.attrs["units"] == "s"
        assert all(variable.attrs["long_name"] for variable in spent.data_vars.values())
    own = bill(rram_run).energy_J.sel(part=["write", "verify", "read_back", "array", "dac", "adc"])
    np.testing.assert_array_equal(own, rram_run.energy_J.sel(part=own.part))
    np.testing.assert_array_equal(bill(rram_run).writes_per_cell, [2.0, 4.0])


def test_harvested_noise_draws_nothing(rram_run: xr.Dataset) -> None:
    """Random numbers cost energy where software draws them, and only there."""
    assert (bill(rram_run).energy_J.sel(part="random") == 0).all()
    for method in METHODS:
        drawn = load(method).drawn
        assert (drawn > 0) == (method in ("mezo", "spsa", "node-perturbation"))


def test_counts_of_a_run_are_those_of_the_record(rram_run: xr.Dataset) -> None:
    """Updates, passes, programming events and codes come from the run."""
    last = workloads(rram_run)[-1]
    assert (last.sizes, last.method, last.optimiser) == ((64, 32, 10), "noisezo", "momentum")
    assert (last.updates, last.passes, last.batch, last.programmings) == (4, 8, 4, 4)
    assert last.codes == float(rram_run.adc_conversions[-1])
    assert last.parameters == 2410


@pytest.mark.parametrize(
    ("settings", "products"),
    [
        ({}, 0),
        ({"credit": "cells"}, 2410),  # as one forward pass
        ({"credit": "lines"}, 65 + 33),
        ({"exact_last_layer": True}, 2 * 33 * 10),  # of both arrays
        ({"exact_last_layer": True, "credit": "lines"}, 2 * 33 * 10 + 65 + 33),
        ({"exact_last_layer": True, "arrays": "rewritten"}, 2 * 33 * 10),
        ({"credit": "cells", "batches_per_programming": 2}, 2410),
    ],
)
def test_products_that_settings_of_noisezo_add(settings: dict[str, Any], products: int) -> None:
    """Per sample, of which 8 passes of 4 samples through two arrays compare 16."""
    run = digital_run("noisezo", hardware="rram", write_noise=0.02, **settings)
    assert [load.products for load in workloads(run)] == [8 * products, 16 * products]


def test_one_array_reads_every_sample_once_for_its_last_layer() -> None:
    """8 passes of 4 samples are 32 samples for one array and its running means."""
    settings = {"arrays": "single", "running_means": 10, "exact_last_layer": True}
    run = digital_run("noisezo", hardware="rram", write_noise=0.02, **settings)
    assert workloads(run)[-1].products == 32 * 33 * 10


def test_credited_cells_of_nodes_that_are_never_off_are_credited_lines(
    rram_run: xr.Dataset,
) -> None:
    """With tanh the losses are summed for word lines, whatever ``credit`` says."""
    config = json.loads(rram_run.config)
    config["method"]["credit"] = "cells"
    counts = {}
    for activation in ("relu", "tanh"):
        record = json.dumps(config | {"activation": activation})
        counts[activation] = workloads(rram_run.assign_attrs(config=record))[-1].products
    assert counts == {"relu": 16 * 2410, "tanh": 16 * 98}


def test_optimisers_are_those_of_the_settings() -> None:
    """NoiseZO has momentum unless Adam is asked for; node noise has Adam."""
    noisezo = partial(digital_run, "noisezo", hardware="rram", write_noise=0.02)
    assert workloads(noisezo())[-1].optimiser == "momentum"
    assert workloads(noisezo(momentum=0.0))[-1].optimiser == "plain"
    assert workloads(noisezo(optimizer="adam"))[-1].optimiser == "adam"


class Stored(xr.backends.BackendArray):
    """Numbers (step,) as in a file that counts how often it is read."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.shape, self.dtype = values, values.shape, values.dtype
        self.reads = 0

    def __getitem__(self, key: Any) -> np.ndarray:
        """Read a part of them."""
        self.reads += 1
        return self.values[key.tuple]


def test_a_stored_run_is_read_once(rram_run: xr.Dataset) -> None:
    """However many records it has, each of its counts is read once, and the bill is the same."""
    files = {name: Stored(values.values) for name, values in rram_run.data_vars.items()}
    stored = rram_run.assign(
        {
            name: (rram_run[name].dims, LazilyIndexedArray(file), rram_run[name].attrs)
            for name, file in files.items()
        }
    )
    assert workloads(stored) == workloads(rram_run)
    assert {name: file.reads for name, file in files.items() if file.reads} == {
        "forward_passes": 1,
        "cell_writes": 1,
        "adc_conversions": 1,
    }


@given(
    batch=st.integers(1, 300),
    arithmetic=st.sampled_from(["int8", "float16", "float32"]),
    samples=st.integers(1, 64),
)
def test_energy_rises_with_work(batch: int, arithmetic: str, samples: int) -> None:
    """More samples, updates, wider numbers, fewer units or an older node never cost less."""
    design = CMOSDesign(arithmetic=arithmetic, units=(samples, 16))

    def total(method: str, design: CMOSDesign = design, **changes: Any) -> float:
        sizes = {"sizes": (64, 32, 10), "batch": batch} | changes
        return sum(reference_energy(load(method, **sizes), design).values())

    for method in ("mezo", "backprop", "node-perturbation"):
        usual = total(method)
        assert total(method, batch=batch + 1) > usual
        assert total(method, passes=3) > usual
        assert total(method, updates=2) > usual
        assert total(method, optimiser="adam") > total(method, optimiser="momentum") > usual
        full = max(batch, samples)  # units that stay empty have memory of signals all the same
        assert total(method, replace(design, units=(1, 16)), batch=full) >= total(
            method, batch=full
        )
        assert total(method, replace(design, memory="dram")) > usual
        assert total(method, replace(design, processor=True)) > usual
        assert total(method, replace(design, technology=Technology(node_nm=65))) > usual
        assert total(method, replace(design, technology=Technology(node_nm=7))) < usual


def test_nodes_are_ordered_and_45_nm_is_the_source() -> None:
    """Every newer node takes less; at 45 nm a constant is what it is in the table."""
    factors = [Technology(node_nm=node).factor for node in NODES]
    assert sorted(factors, reverse=True) == factors
    for name, constant in CONSTANTS.items():
        assert Technology().energy(name) == constant.value
        assert (constant.unit, constant.node_nm) == ("J", 45)
        assert constant.source


@pytest.mark.parametrize(
    ("capacity", "expected"), [(100, 10), (8192, 10), (32768, 20), (2**20, 100)]
)
def test_memory_energies_are_those_of_the_source(capacity: float, expected: float) -> None:
    """8 KiB, 32 KiB and 1 MiB as published; a quarter of the bits for a quarter of the energy."""
    technology = Technology()
    assert technology.sram(64, capacity) == equal(expected * PJ)
    assert technology.sram(16, capacity) == equal(expected * PJ / 4)


def test_random_bits_cost() -> None:
    """Signs are cheapest; registers that shift by one bit cost as many flip-flops as they have."""
    technology = Technology()
    signs = RandomGenerator(law="signs").energy(technology)
    assert signs == equal((0.03 / 8 + 3 * 0.03 / 16) * PJ)
    short, long = (RandomGenerator(terms=terms).energy(technology) for terms in (4, 8))
    box_muller = RandomGenerator(law="box-muller").energy(technology)
    assert signs < short < long < box_muller
    shifting = RandomGenerator(flip_flops_per_bit=32).energy(technology)
    assert shifting - short == equal(32 * 31 * 0.03 / 8 * PJ)


def test_ratio_moves_as_it_should() -> None:
    """What makes writing dearer lowers the ratio, what makes digital dearer raises it."""
    ranges = {
        "programming.pulse_energy": (1e-12, 100e-12),
        "programming.pulses_per_write": (1.0, 20.0),
        "verify_reads": (0.0, 4.0),
        "fraction_rewritten": (0.1, 1.0),
        "cell_read": (1e-15, 1e-12),
        "batches_per_programming": (16, 1),
        "digital.arithmetic": ("float32", "int8"),
        "digital.memory": ("dram", "sram"),
        "digital.macro_bytes": (2**20, 0),
        "digital.generator.terms": (32, 2),
        "reference_updates": (2.0, 0.5),
    }
    found = sensitivity(Assumptions(), ranges)
    assert (found.ratio.sel(end="low") > found.ratio.sel(end="high")).all()
    assert found.base_ratio == Assumptions().ratio
    assert (found.ratio.sel(end="high") <= found.base_ratio * (1 + 1e-9)).all()


def test_fraction_and_sharing_scale_programming() -> None:
    """A tenth of the cells takes a tenth of the writes; shared programming leaves them as is."""
    base = Assumptions()
    tenth = replace(base, fraction_rewritten=0.1).arrays
    shared = replace(base, batches_per_programming=4).arrays
    for part in ("write", "verify"):
        assert tenth[part] == equal(0.1 * base.arrays[part])
        assert shared[part] == equal(base.arrays[part])
    for part in ("array", "dac", "adc"):
        assert tenth[part] == base.arrays[part]
        assert shared[part] == equal(4 * base.arrays[part])
    free = replace(base, adc=ADC(bits=8, energy_at_8_bits=0.0), dac=DAC(bits=8, energy_per_bit=0.0))
    assert free.arrays["dac"] == free.arrays["adc"] == 0


def reaching(run: xr.Dataset, *accuracies: float) -> xr.Dataset:
    """The run with these accuracies at its records."""
    return run.assign(deployed_accuracy=("step", list(accuracies)))


def test_comparison_takes_the_first_record_that_reaches_the_accuracy(rram_run: xr.Dataset) -> None:
    """Energy, time and writes of that record; the ratio is that of the totals."""
    fast, slow = reaching(rram_run, 0.95, 0.9), reaching(digital_run(), 0.5, 0.9)
    found = compare(fast, slow, 0.9)
    ours, theirs = bill(fast).isel(step=0), bill(slow).isel(step=1)
    np.testing.assert_array_equal(found.energy_J.isel(design=0), ours.energy_J)
    np.testing.assert_array_equal(found.energy_J.isel(design=1), theirs.energy_J)
    np.testing.assert_allclose(found.energy_J.sum("part"), found.total_energy)
    assert found.ratio.values.tolist() == [1.0, float(theirs.total_energy / ours.total_energy)]
    assert found.forward_passes.values.tolist() == [4, 8]
    assert found.writes_per_cell.values.tolist() == [2.0, 0.0]
    assert list(found.design.values) == ["noisezo on rram", "mezo on CMOS (int8, 45 nm)"]
    assert found.energy_J.dims == ("design", "part")


def test_comparison_refuses_what_cannot_be_compared(rram_run: xr.Dataset) -> None:
    """An accuracy that was not reached, another task, an accuracy that is no share."""
    other = digital_run()
    with pytest.raises(InputError, match=r"mezo on int8 never reached 90.0%, at best 20.0%"):
        compare(reaching(rram_run, 0.9, 0.9), reaching(other, 0.1, 0.2), 0.9)
    with pytest.raises(InputError, match="different tasks"):
        compare(rram_run, other.assign_attrs(task="mnist"), 0.9)
    with pytest.raises(InputError, match="accuracy=90 must be a share"):
        compare(rram_run, other, 90)


def test_two_runs_of_one_design_keep_their_names() -> None:
    """Seeds tell them apart."""
    first, second = (reaching(digital_run(seed=seed), 0.9, 0.9) for seed in (0, 1))
    names = list(compare(first, second, 0.5).design.values)
    assert names == [f"mezo on CMOS (int8, 45 nm), seed {seed}" for seed in (0, 1)]


def test_refusals_of_what_is_not_counted(rram_run: xr.Dataset) -> None:
    """Unknown methods, networks without widths, memories beyond the source, unknown operations."""
    with pytest.raises(InputError, match="of those whose energy is counted"):
        bill(rram_run.assign_attrs(method="deepzero"))
    with pytest.raises(InputError, match="multilayer perceptrons"):
        bill(rram_run.assign_attrs(config=json.dumps({"method": {}})))
    with pytest.raises(InputError, match="known up to 1024 KiB"):
        reference_energy(load("mezo", sizes=(784, 512, 10)), CMOSDesign())
    with pytest.raises(InputError, match="did you mean 'int8 add'"):
        Technology().energy("int8 ad")
    with pytest.raises(InputError, match="at least input and output widths"):
        load("mezo", sizes=(3,))


@pytest.mark.parametrize(
    ("method", "own"),
    [
        ("noisezo", {}),
        ("noisezo", {"batches_per_programming": 3}),
        ("mezo", {}),
        ("spsa", {}),
        ("node-perturbation", {}),
        ("backprop", {}),
    ],
)
def test_planned_writes_are_those_of_the_run(method: str, own: dict[str, Any]) -> None:
    """A few updates continued give the count of the whole run."""
    settings = {"passes": 12, "hardware": "rram", "write_noise": 0.02, **own}
    run = digital_run(method, **settings)
    ready = training.prepare(task="digits", method=method, batch=4, **settings)
    planned = planned_writes(ready.network, ready.method, ready.task, passes=12)
    assert planned == float(run.cell_writes[-1])


def test_endurance_smaller_than_the_plan_is_refused() -> None:
    """The message says both numbers and what helps; a budget as large as the plan is enough."""
    check_endurance(1000.0, budget=1000.0)
    with pytest.raises(InputError, match=r"budget of 1000 .* smaller than the plan, 1001: lower"):
        check_endurance(1001.0, budget=1000.0)
    for budget in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(InputError, match="must be a positive number of writes"):
            check_endurance(1.0, budget=budget)


def test_endurance_budget_is_the_quantile_of_the_lifetimes() -> None:
    """Of 10⁶ lifetimes 1 % ± 5 standard deviations (false alarm 6e-7) are below the budget."""
    stuck = StuckState(probability=1.0, conductance=1e-6)
    endurance = Endurance(
        characteristic_cycles=1e6,
        weibull_shape=1.5,
        outcome=Faults(low=stuck),
    )
    lives = endurance.lifetimes((1_000_000,), np.random.default_rng(3))
    tolerance = 5 * math.sqrt(0.01 * 0.99 / lives.size)
    assert np.mean(lives < endurance_budget(endurance)) == pytest.approx(0.01, abs=tolerance)
    wrong = endurance_budget(replace(endurance, weibull_shape=1.6))  # a check that can fail
    assert abs(np.mean(lives < wrong) - 0.01) > tolerance
    with pytest.raises(InputError, match="between 0 and 1"):
        endurance_budget(endurance, failing=1.0)
