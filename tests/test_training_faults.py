"""Training on chips with faults: the same devices at every programming, wear, damage, refusals.

Statistical checks have a false-alarm rate of 1e-4 each.
"""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import zerohm as zo
from zerohm import InputError, devices, mapping
from zerohm._random import stream
from zerohm.crossbar import Crossbar
from zerohm.datasets import Task
from zerohm.training import Disturbance, EnduranceWarning, MeZO, NoiseZO, experiment, fit, mlp
from zerohm.training.ffzero import LocalNodePerturbation
from zerohm.training.node_noise import NodeNoise
from zerohm.training.wear import on_chip, rram_of

ALARM = 1e-4
SHAPE = (300, 200)
CELL = devices.Cell(name="test", conductance_min=1e-6, conductance_max=41e-6).with_noise(
    write=0.02, read=0.01
)
HIGH = devices.Faults(high=devices.StuckState(probability=0.2, conductance=41e-6))


def worn(cycles, shape=2.0, **options):
    """Cells that fail after so many cycles, at 60 µS: a value that no write reaches."""
    outcome = devices.Faults(high=devices.StuckState(probability=1.0, conductance=60e-6))
    endurance = devices.Endurance(
        characteristic_cycles=cycles, weibull_shape=shape, outcome=outcome, **options
    )
    return replace(CELL, endurance=endurance)


def failed_by(events, cycles, shape=2.0):
    """Weibull law: the probability that a cell has failed."""
    return 1 - np.exp(-((events / cycles) ** shape))


def check_frequency(found, count, probability):
    """So many of a count of cells are no surprise for the binomial law."""
    chance = stats.binomtest(int(found), count, probability).pvalue
    assert chance > ALARM, f"{found} of {count} cells, expected {probability:g}, p = {chance:.1e}"


@pytest.fixture
def task():
    """Two classes around two centres in four dimensions."""
    rng = stream(1)
    labels = np.arange(120) % 2
    inputs = rng.uniform(-0.7, 0.7, (2, 4))[labels] + rng.normal(0, 0.2, (120, 4))
    inputs = np.clip(inputs, -1, 1).astype(np.float32)
    return Task(
        name="two",
        split="fixed",
        train_inputs=inputs[:60],
        train_labels=labels[:60],
        test_inputs=inputs[60:],
        test_labels=labels[60:],
        classes=2,
        input_limit=1.0,
        citations=(),
    )


CELLS = 2 * (40 * 5 + 2 * 41)


def network(cell):
    """4-40-2 with biases: 564 cells in one array of each layer."""
    return mlp([4, 40, 2], hardware=mapping.rram(cell))


def train(cell, task, method=None, **options):
    """A short run, its plan beyond the endurance or not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EnduranceWarning)
        settings = {"passes": 40, "batch": 8, "evaluations": 4, "seed": 0} | options
        return fit(network(cell), task, method=method or NoiseZO(), progress=False, **settings)


# --------------------------------------------------------------------------------------------
# Devices


def test_windows_of_devices_are_log_normal(naive):
    """A target beyond a device's own edge ends there; another spread and a normal one are told."""
    cell = replace(CELL, window_spread=devices.WindowSpread(high=0.3)).with_noise(write=0.0)
    cells = devices.Cells(cell, SHAPE, stream(0, "windows"))
    cells.program(np.full(SHAPE, 41e-6), stream(1))
    reached = np.log(cells.conductance / 41e-6).ravel()
    check_frequency(np.count_nonzero(reached == 0), reached.size, 0.5)
    assert reached.max() == 0
    short = -reached[reached < 0]
    law = stats.halfnorm(scale=0.3)
    assert stats.kstest(short, law.cdf).pvalue > ALARM
    assert stats.kstest(1.05 * short, law.cdf).pvalue < ALARM
    normal = 0.3 * np.abs(stream(2).standard_normal(short.size))
    assert stats.kstest(-np.log(1 - normal[normal < 1]), law.cdf).pvalue < ALARM
    assert cells.clipped == short.size


def test_devices_keep_their_window():
    """Programmed again, the same devices stop at the same edges; low targets all can reach."""
    cell = replace(CELL, window_spread=devices.WindowSpread(high=0.3)).with_noise(write=0.0)
    cells = devices.Cells(cell, (50, 50), stream(0))
    first = cells.program(np.full((50, 50), 41e-6), stream(1)).copy()
    assert np.array_equal(
        cells.program(np.full((50, 50), 2e-6), stream(2)), np.full((50, 50), 2e-6)
    )
    assert np.array_equal(cells.program(np.full((50, 50), 41e-6), stream(3)), first)


def test_a_chip_wears_as_one_array_does():
    """n programming events by fresh layers fail as many cells as the law says after n events."""
    chip, cell = mapping.Chip(), worn(20.0)
    hardware = mapping.rram(cell, devices=chip, tile=(64, 64))
    cells = 2 * 60 * 100
    for event in range(1, 25):
        state = hardware.program(np.zeros((60, 100)), rng=stream(event))
        if event in (5, 15, 24):
            check_frequency(chip.failed_cells, cells, failed_by(event, 20.0))
            with pytest.raises(AssertionError):
                check_frequency(chip.failed_cells, cells, failed_by(event + 1, 20.0))
            with pytest.raises(AssertionError):
                check_frequency(chip.failed_cells, cells, failed_by(event, 20.0, shape=1.0))
    stuck = sum(np.count_nonzero(array.conductance > 50e-6) for _, _, array in state._tiles)
    assert stuck == chip.failed_cells
    fresh = mapping.rram(cell, tile=(64, 64)).program(np.zeros((60, 100)), rng=stream(1))
    stuck = sum(np.count_nonzero(array.conductance > 50e-6) for _, _, array in fresh._tiles)
    check_frequency(stuck, cells, failed_by(1, 20.0))


def test_only_rewritten_cells_wear():
    """A block that is rewritten dies, the rest lives."""
    chip = mapping.Chip()
    state = mapping.rram(worn(10.0), devices=chip).program(np.zeros((50, 60)), rng=stream(0))
    where = np.zeros((50, 60), dtype=bool)
    where[:25] = True
    for event in range(14):
        state.rewrite(np.zeros((50, 60), np.float32), where, rng=stream(event))
    expected = 0.5 * (failed_by(15, 10.0) + failed_by(1, 10.0))
    check_frequency(chip.failed_cells, 2 * 50 * 60, expected)
    with pytest.raises(AssertionError):
        check_frequency(chip.failed_cells, 2 * 50 * 60, failed_by(15, 10.0))


def test_a_chip_keeps_its_faults_bit_for_bit():
    """Devices that are kept are those that are made anew at every programming."""
    cell = devices.flawed(CELL, stuck_fraction=0.1, window_spread=0.2)
    kept = mapping.rram(cell, devices=mapping.Chip(), chip=3)
    weights = stream(0).uniform(-0.5, 0.5, (30, 40)).astype(np.float32)
    for event in range(2):
        new = mapping.rram(cell, chip=3).program(weights, rng=stream(event), copies=2)
        old = kept.program(weights, rng=stream(event), copies=2)
        assert np.array_equal(old.truth, new.truth)
    other = mapping.rram(cell, chip=4).program(weights, rng=stream(1), copies=2)
    assert not np.array_equal(other.truth, new.truth)


def test_damage_hits_working_cells():
    """Of those that work the stated share fails, and stays; a copy of the chip is left alone."""
    chip = mapping.Chip()
    hardware = mapping.rram(devices.flawed(CELL, stuck_fraction=0.3), devices=chip)
    hardware.program(np.zeros((100, 100)), rng=stream(0))
    before, twin = chip.failed_cells, chip.copy()
    chip.damage(HIGH, seed=1)
    check_frequency(chip.failed_cells - before, 20_000 - before, 0.2)
    with pytest.raises(AssertionError):
        check_frequency(chip.failed_cells - before, 20_000, 0.2)
    assert twin.failed_cells == before
    late = mapping.rram(CELL, devices=chip).at(1)
    late.program(np.zeros((100, 100)), rng=stream(0))  # an array that nobody had used yet
    alone = mapping.Chip()
    replace(late, devices=alone).program(np.zeros((100, 100)), rng=stream(0))
    assert alone.failed_cells == 0
    both = chip.failed_cells
    check_frequency(both - before, 20_000 - before + 20_000, 0.2)


def test_what_is_broken_does_not_break_again():
    """Damage leaves worn-out cells at what they are stuck at, now and when more time passes."""
    cells = worn(2.0, shape=5.0).fabricate((50, 50), stream(0))
    for _ in range(2):
        cells.wear_out(...)
    before = cells.stuck.copy()
    broken = ~np.isnan(before)
    assert 0.5 < np.mean(broken) < 0.75
    cells.damage(
        devices.Faults(low=devices.StuckState(probability=1.0, conductance=0.0)), stream(1)
    )
    cells.wear_out(...)
    assert np.all(cells.stuck[broken] == 60e-6)
    assert np.all(cells.stuck[~broken] == 0.0)


def test_a_copy_of_a_chip_wears_on_its_own():
    """Programming the copy wears the copy."""
    chip = mapping.Chip()
    hardware = mapping.rram(worn(3.0), devices=chip)
    hardware.program(np.zeros((40, 40)), rng=stream(0))
    before, twin = chip.failed_cells, chip.copy()
    for event in range(5):
        replace(hardware, devices=twin).program(np.zeros((40, 40)), rng=stream(event))
    assert chip.failed_cells == before < twin.failed_cells


def test_usual_flaws():
    """84 % of stuck cells are stuck high; nothing that is not asked for is changed."""
    cell = devices.flawed(CELL, stuck_fraction=0.2)
    assert cell.faults.probability == pytest.approx(0.2)
    assert cell.faults.high.probability == pytest.approx(0.2 * 9.04 / 10.79)
    assert devices.flawed(CELL) == CELL
    assert devices.flawed(cell, characteristic_cycles=1e5).faults == cell.faults
    for name, value in (
        ("stuck_fraction", 1.5),
        ("window_spread", -0.1),
        ("characteristic_cycles", 0.0),
    ):
        with pytest.raises(InputError):
            devices.flawed(CELL, **{name: value})


def test_a_crossbar_takes_the_cells_that_it_is_given():
    """Two crossbars on the same devices: the second finds them worn by the first."""
    cell = worn(2.0, shape=5.0)
    given = cell.fabricate((20, 20), stream(0))
    for _ in range(4):
        array = Crossbar(cell, shape=(20, 20), seed=1, fabricated=lambda shape: given)
        array.program(np.full((20, 20), 20e-6))
    assert np.all(given.wear == 4)
    assert np.all(array.conductance == 60e-6)


# --------------------------------------------------------------------------------------------
# Training


METHODS = [
    NoiseZO(),
    NoiseZO(arrays="rewritten", block="cells"),
    MeZO(),
    NodeNoise(),
    LocalNodePerturbation(),
]


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_wear_of_a_run_is_that_of_its_writes(method, task):
    """So many writes per cell as the ledger says: failed cells follow the law, and never heal."""
    passes = 80 if method.name != "node-noise" else 400
    run = train(worn(30.0), task, method, passes=passes)
    failed, writes = run.failed_cells.values, run.cell_writes.values
    assert np.all(np.diff(failed) >= 0)
    arrays = 2 if getattr(method, "arrays", 1) == "dual" else 1
    cells = arrays * CELLS
    low, high = failed_by(np.floor(writes), 30.0), failed_by(np.ceil(writes), 30.0)
    for found, least, most in zip(failed, low, high, strict=True):
        assert stats.binom.cdf(found, cells, least) > ALARM
        assert stats.binom.sf(found - 1, cells, most) > ALARM
    assert stats.binom.sf(failed[-1] - 1, cells, failed_by(writes[-1] / 2, 30.0)) < ALARM


def test_runs_on_a_worn_chip_are_repeatable(task):
    """The same seed gives the same bits: every run starts on a new chip."""
    model = network(worn(20.0))
    settings = {"method": NoiseZO(), "passes": 20, "batch": 8, "evaluations": 2, "seed": 1}
    with pytest.warns(EnduranceWarning):
        first, second = (fit(model, task, progress=False, **settings) for _ in range(2))
    assert first.identical(second)


def test_deployment_is_on_the_chip_that_was_trained(task):
    """Records of a chip without write noise all agree, although other chips would not."""
    cell = replace(CELL.with_noise(write=0.0, read=0.0), faults=HIGH)
    one, many = (
        fit(network(cell), task, method=MeZO(), seed=0, passes=8, batch=8, evaluations=1,
            deployments=count, progress=False)
        for count in (1, 4)
    )  # fmt: skip
    assert float(one.deployed_accuracy[-1]) == float(many.deployed_accuracy[-1])


def test_no_faults_no_change(task):
    """Probability 0 and endless lives: accuracy moves by no more than the evaluation's noise."""
    endless = devices.flawed(CELL, stuck_fraction=0.0, characteristic_cycles=1e12)
    runs = [train(cell, task) for cell in (CELL, endless)]
    assert np.array_equal(runs[0].master_accuracy, runs[1].master_accuracy)
    assert np.array_equal(runs[0].train_loss, runs[1].train_loss)
    assert np.all(runs[1].failed_cells == 0)


def test_a_disturbance_strikes_when_it_is_due(task):
    """Records before it see none of it, those after it the stated share; the master is left."""
    run = train(CELL, task, disturbances=[Disturbance(at=0.5, faults=HIGH)], passes=40)
    failed = run.failed_cells.values
    assert failed[:2].tolist() == [0, 0]
    assert failed[2] == failed[3]
    check_frequency(failed[3], 2 * CELLS, 0.2)
    assert '"disturbances"' in run.attrs["config"]


def test_a_chip_that_only_deploys_is_hit_too(task):
    """Backpropagation programs nothing: its records see the faults and the damage all the same."""
    cell = devices.flawed(CELL, stuck_fraction=0.1)
    damage = [Disturbance(at=0.5, faults=HIGH)]
    run = train(cell, task, zo.training.Backprop(), disturbances=damage, passes=40)
    check_frequency(run.failed_cells.values[0], CELLS, 0.1)
    check_frequency(run.failed_cells.values[-1], CELLS, 1 - 0.9 * 0.8)
    with pytest.raises(AssertionError):
        check_frequency(run.failed_cells.values[-1], CELLS, 0.1)


def test_disturbances_are_independent(task):
    """Two of 20 % leave 64 % of the cells, not 80 %."""
    twice = [Disturbance(at=at, faults=HIGH) for at in (0.6, 0.3)]
    run = train(CELL, task, disturbances=twice, passes=40)
    check_frequency(run.failed_cells.values[-1], 2 * CELLS, 0.36)
    with pytest.raises(AssertionError):
        check_frequency(run.failed_cells.values[-1], 2 * CELLS, 0.2)


def test_a_disturbance_needs_cells_and_a_time(task):
    """Refusals before the run."""
    digital = mlp([4, 8, 2], hardware=mapping.digital())
    with pytest.raises(InputError, match=r"hardware 'digital' has none"):
        fit(digital, task, method=MeZO(), seed=0, disturbances=[Disturbance(at=0.5, faults=HIGH)])
    for at in (0.0, 1.0):
        with pytest.raises(ValueError, match="at"):
            Disturbance(at=at, faults=HIGH)


def test_an_endurance_below_the_plan_is_said_before_the_run(task):
    """A warning with both numbers, a refusal if the method has a budget; silence if it suffices."""
    settings = {"passes": 200, "batch": 8, "evaluations": 1, "seed": 0, "progress": False}
    with pytest.warns(EnduranceWarning, match=r"every cell about 100 times, but 1% .* within 50.1"):
        fit(network(worn(500.0)), task, method=NoiseZO(), **settings)
    fit(network(worn(5000.0)), task, method=NoiseZO(), **settings)
    with pytest.raises(InputError, match=r"budget of 99 .* smaller than the plan, 100"):
        fit(network(CELL), task, method=NoiseZO(endurance_cycles=99), **settings)


def test_flaws_are_settings_of_a_run():
    """Flat settings give a preset the parts that it lacks; other hardware has none."""
    settings = {"task": "digits", "passes": 4, "evaluations": 1, "seed": 0}
    run = experiment(method="mezo", stuck_fraction=0.25, window_spread=0.1, **settings)
    cells = zo.training.prepare(**settings).network.cells
    check_frequency(run.failed_cells.values[-1], cells, 0.25)
    with pytest.raises(InputError, match="has no stuck_fraction"):
        experiment(method="mezo", hardware="digital", stuck_fraction=0.25, **settings)


def test_every_network_finds_its_arrays():
    """Networks of layers, of maps and of integers: their arrays move to a chip."""
    chip = mapping.Chip()
    for settings in ({"network": "mlp"}, {"network": "cnn"}):
        method = "noisezo" if settings["network"] == "mlp" else "convolutional-node-perturbation"
        model = zo.training.prepare(task="digits", method=method, **settings).network
        arrays = rram_of(on_chip(model, chip))
        assert len(arrays) == len(rram_of(model)) > 1
        assert all(hardware.devices is chip for hardware in arrays)
    assert rram_of(mlp([4, 2], hardware=mapping.digital())) == []
