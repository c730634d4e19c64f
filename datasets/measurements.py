"""Measured conductances of published devices, for calibration: where the files come from.

import zerohm as zo

path = zo.datasets.measured("techB_relaxdata_10k.min.tsv.gz")
fit = zo.devices.calibrate.relaxation(path, columns={"cell": "1", "time_s": "2", ...})
"""

from pathlib import Path

from zerohm._errors import choose

from .files import DataFile

_LEVY = "https://raw.githubusercontent.com/akashlevy/RRAM-Relaxation-Master-Model/"
_LEVY_COMMIT = "ca0cfff655a7392dc8955585f7345303b3cffde8"  # MIT licence
_AIHWKIT = "https://raw.githubusercontent.com/IBM/aihwkit/"
_AIHWKIT_COMMIT = "4545f11b5214c5e3c6b9d293053bbf8baf74e110"  # MIT licence


def _levy(technology: str, name: str, sha256: str) -> DataFile:
    """A file of technology A or B; here its name says which, there its folder."""
    return DataFile(
        folder="devices/rram-relaxation-2tech",
        name=f"tech{technology}_{name}",
        addresses=(f"{_LEVY}{_LEVY_COMMIT}/data/tech{technology}/",),
        published_name=name,
        sha256=sha256,
    )


FILES = {
    file.name: file
    for file in (
        _levy(
            "A",
            "tsdata.min.tsv.gz",
            "dea99b1bd8169cd26cf6cca67982eca6ed1a809142eab0b976cbd09204fd2459",
        ),
        _levy(
            "A",
            "bake.tsv.gz",
            "51b3fcb280ecfa8a2c73b4797c195d6255bf48567019dd60c984c565868fd111",
        ),
        _levy(
            "B",
            "relaxdata_10k.min.tsv.gz",
            "d6d82afa81113ab174a2adb3676f81271a78fe64c53e6889f8c1204d204a37eb",
        ),
        _levy(
            "B",
            "bake.tsv.gz",
            "a1e9fbac6e2db818dd4452bc90205bf5b97e32656b4ae37a8f6f2acaffec7de6",
        ),
        DataFile(
            folder="devices/aihwkit-gong2018-reram",
            name="gong_et_al.csv",
            addresses=(f"{_AIHWKIT}{_AIHWKIT_COMMIT}/examples/csv/",),
            sha256="8f009fcbe88d818ae4defff5fb98483c203fcded7958678d42890f27e3e91881",
        ),
    )
}


def measured(name: str) -> Path:
    """Path of a file of measured conductances, found or downloaded, with the right content.

    It is looked for in ``$ZEROHM_DATA/devices/<set>/``, then in the user's cache, and is
    otherwise downloaded into the cache.

    Parameters
    ----------
    name : of the file:

        - techA_tsdata.min.tsv.gz: conductance of 5 cells at 400 Hz for 250 s (Levy 2024)
        - techB_relaxdata_10k.min.tsv.gz: 16 000 cells after programming (Levy 2024)
        - techA_bake.tsv.gz, techB_bake.tsv.gz: before and after an hour of heat (Levy 2024)
        - gong_et_al.csv: normalised response to 1000 pulses up and 1000 down (Gong 2018)

    Raises
    ------
    InputError : an unknown name, or a file that is neither here nor can be downloaded.

    Examples
    --------
    >>> sorted(FILES)[1]
    'techA_bake.tsv.gz'
    """
    choose("measurement", name, FILES)
    return FILES[name].obtain()[0]
