"""How every parameter set is checked: unknown names and non-finite numbers are refused."""

from pydantic import ConfigDict

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)
"""Configuration of all parameter dataclasses (``pydantic.dataclasses.dataclass``)."""
