"""One photonic element: phase shifter, coupler, waveguide, laser, modulator, detector."""
