"""The application that commands register with."""

from cyclopts import App

import zerohm

app = App(
    name="zerohm",
    help="Physics-first simulation of analog AI hardware that learns with forward passes only.",
    version=zerohm.__version__,
    result_action="return_value",
)
