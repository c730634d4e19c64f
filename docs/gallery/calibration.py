"""Calibration: the page of a fit, here of write noise that grows with the target."""

import numpy as np
import pandas as pd

import zerohm as zo

rng = np.random.default_rng(0)
targets = np.repeat(np.linspace(5e-6, 40e-6, 8), 100)  # S
errors = (0.3e-6 + 0.02 * targets) * rng.standard_normal(targets.size)
table = pd.DataFrame({"target_S": targets, "conductance_S": targets + errors})

fit = zo.devices.calibrate.programming(table)
fit.plot().savefig("calibration.png")
