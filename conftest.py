"""Which docstring examples can run: those of optional extras need the extras."""

from importlib.util import find_spec

_EXTRAS = {
    "src/zerohm/training/interchange/state_dict.py": "torch",
    "src/zerohm/training/interchange/onnx_model.py": "onnx",
}
_MISSING = {path: package for path, package in _EXTRAS.items() if find_spec(package) is None}

collect_ignore = list(_MISSING)


def pytest_report_header() -> list[str]:
    return [
        f"{package} is missing: examples of {path} skipped" for path, package in _MISSING.items()
    ]
