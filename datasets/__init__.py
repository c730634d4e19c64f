"""Classification tasks to train on: ``digits``, ``vowel``, ``mnist`` and ``fashion-mnist``.

``digits`` comes with scikit-learn. The files of the others are looked for in
``$ZEROHM_DATA/<folder>/`` (folders ``vowel``, ``mnist``, ``fashion_mnist``), then in the user's
cache, and are otherwise downloaded into the cache; what is used was checked against a hash.
:func:`measured` does the same for measured conductances of published devices.
"""

from .catalogue import load as load
from .catalogue import names as names
from .measurements import measured as measured
from .task import Task as Task

__all__ = ["Task", "load", "measured", "names"]
