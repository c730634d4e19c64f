"""The look of every figure."""

from contextlib import AbstractContextManager
from io import BytesIO
from typing import Any

import matplotlib.style
from matplotlib.figure import Figure


def paper() -> AbstractContextManager[None]:
    """matplotlib settings of ``paper.mplstyle`` for the length of a block."""
    return matplotlib.style.context("zerohm.paper")


class PaperFigure(Figure):
    """A figure that is also saved in the style that it was drawn in (fonts, resolution)."""

    def savefig(self, *args: Any, **kwargs: Any) -> None:
        """As ``Figure.savefig``."""
        with paper():
            super().savefig(*args, **kwargs)

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        image = BytesIO()
        self.savefig(image, format="png")
        return image.getvalue()
