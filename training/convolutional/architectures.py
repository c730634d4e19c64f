"""Ready-made convolutional networks."""

from zerohm._errors import InputError

from .graph import Convolution, Dense, Graph, Layer, Pool, Shape


def _inverted_residual(
    name: str, *, expanded: int, outputs: int, stride: int, added: str | None
) -> tuple[Layer, ...]:
    """Pointwise expansion, depthwise convolution, pointwise projection without activation."""
    return (
        Convolution(name=f"{name} expand", channels=expanded, kernel=1, normalized=True),
        Convolution(
            name=f"{name} depthwise",
            channels=expanded,
            stride=stride,
            depthwise=True,
            normalized=True,
        ),
        Convolution(
            name=f"{name} project",
            channels=outputs,
            kernel=1,
            activation="none",
            normalized=True,
            add=added,
        ),
    )


def small_mcunet(input_shape: Shape, classes: int) -> Graph:
    """A network of four inverted residuals in the manner of MCUNet.

    Inverted residuals after Sandler 2018 (fig. 3b, table 1; here plain ReLU), as MCUNet
    (Lin 2020) is built of them; widths are chosen for maps of 8 to 32 pixels. For (1, 28, 28):
    0.24 million multiply–accumulates, 8.75 thousand parameters.

    Blocks "block 1" to "block 4" name what sparse training may choose from, one projection each
    (the last one with the classifier): projections have the fewest nodes of an inverted residual,
    so that perturbing nodes estimates the fewest numbers.

    Parameters
    ----------
    input_shape : channels, height, width; maps of more than 14 rows or columns are halved
        by the first convolution.
    classes : number of scores.

    Raises
    ------
    InputError : fewer than two classes, or maps smaller than 4 × 4.

    Examples
    --------
    >>> graph = small_mcunet((1, 28, 28), 10)
    >>> graph.output_shape("residual 4 project"), graph.classes
    ((20, 4, 4), 10)
    """
    if classes < 2:
        raise InputError(f"classes={classes} must be at least 2")
    if min(input_shape[1:]) < 4:
        raise InputError(f"input_shape={input_shape}: height and width must be at least 4")
    stem = Convolution(
        name="stem", channels=8, stride=2 if max(input_shape[1:]) > 14 else 1, normalized=True
    )
    first = _inverted_residual("residual 1", expanded=24, outputs=12, stride=2, added=None)
    second = _inverted_residual(
        "residual 2", expanded=36, outputs=12, stride=1, added="residual 1 project"
    )
    third = _inverted_residual("residual 3", expanded=36, outputs=20, stride=2, added=None)
    fourth = _inverted_residual(
        "residual 4", expanded=60, outputs=20, stride=1, added="residual 3 project"
    )
    head: tuple[Layer, ...] = (
        Convolution(name="head", channels=64, kernel=1, normalized=True),
        Pool(name="average"),
        Dense(name="classes", outputs=classes),
    )
    return Graph(
        input_shape=input_shape,
        layers=(stem, *first, *second, *third, *fourth, *head),
        blocks=(
            ("block 1", ("residual 1 project",)),
            ("block 2", ("residual 2 project",)),
            ("block 3", ("residual 3 project",)),
            ("block 4", ("residual 4 project", "classes")),
        ),
    )


def small_cnn(input_shape: Shape, classes: int) -> Graph:
    """Two plain convolutions and a dense layer, small enough to train from nothing on a chip.

    For maps of more than 14 rows or columns a 5 × 5 kernel to 16 channels and a 3 × 3 kernel to
    32, both of stride 2, with (1, 28, 28) 20,746 parameters; for smaller ones two 3 × 3 kernels
    to 12 channels, of which the second has stride 2.

    Parameters
    ----------
    input_shape : channels, height, width.
    classes : number of scores.

    Examples
    --------
    >>> small_cnn((1, 28, 28), 10).output_shape("second")
    (32, 7, 7)
    """
    large = max(input_shape[1:]) > 14
    first = (
        Convolution(name="first", channels=16, kernel=5, stride=2)
        if large
        else Convolution(name="first", channels=12)
    )
    second = Convolution(name="second", channels=32 if large else 12, stride=2)
    return Graph(
        input_shape=input_shape, layers=(first, second, Dense(name="classes", outputs=classes))
    )
