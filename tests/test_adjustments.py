"""Any field of the hardware can be set and swept by its path."""

import pytest

import zerohm as zo
from zerohm import training


def prepared(**settings):
    return training.prepare(task="digits", passes=10, batch=8, write_noise=0.02, **settings)


def test_a_field_of_the_cell_is_replaced():
    """The network is built on the adjusted hardware; nothing else differs."""
    plain = prepared().network.layers[0].hardware
    wide = prepared(**{"hardware.cell.conductance_max": 3e-5}).network.layers[0].hardware
    assert wide.cell.conductance_max == 3e-5
    assert zo.training.adjustments.adjusted(wide, "cell.conductance_max", 4e-5) == plain


def test_fields_of_the_mapping_and_of_parts_of_the_cell_are_reached():
    """Paths lead through nested settings, of meshes too."""
    hardware = (
        prepared(**{"hardware.weight_range": 4.0, "hardware.cell.relaxation.onset_s": 2.0})
        .network.layers[0]
        .hardware
    )
    assert (hardware.weight_range, hardware.cell.relaxation.onset_s) == (4.0, 2.0)
    mesh = training.prepare(hardware="photonic", **{"hardware.headroom": 0.8})
    assert mesh.network.layers[0].hardware.headroom == 0.8


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("hardware.cell.conductance_maximum", 5e-5, "did you mean 'conductance_max'"),
        ("hardware.cell.faults.fraction", 0.1, "choose a device that has"),
        ("hardware.weight_range", -1.0, "greater than 0"),
        ("hardware.weight_range", "6 S", "weight_range='6 S'"),
        ("hardwre.weight_range", 1.0, "unknown setting"),
    ],
)
def test_unusable_adjustments_are_refused(path, value, message):
    """The message names the field and what it allows."""
    with pytest.raises(zo.InputError, match=message):
        prepared(**{path: value})
