"""Nothing that is read from disk is ever run, and nothing is reachable from other machines.

The source text of every package is searched, so that a new call has to be listed here with its
reason, or is an error.
"""

import ast
from pathlib import Path

import pytest

import zerohm

PACKAGES = (
    *("devices", "crossbar", "photonics", "mapping", "datasets", "training", "sweeps"),
    "src/zerohm",
)
ROOT = Path(__file__).resolve().parents[1]

RUNS_CODE = {
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "cloudpickle.load", "cloudpickle.loads"),
    *("dill.load", "dill.loads", "joblib.load", "marshal.load", "marshal.loads", "shelve.open"),
    *("pandas.read_pickle", "pandas.read_hdf", "pandas.eval", "pandas.DataFrame.eval"),
    *("eval", "exec", "compile", "__import__", "runpy.run_path", "runpy.run_module"),
    *("yaml.load", "yaml.unsafe_load", "yaml.full_load", "onnx.load", "os.system", "os.popen"),
    *("subprocess.run", "subprocess.Popen", "subprocess.call", "subprocess.check_output"),
}
"""Calls by which the content of a file, or text, is run."""
ONLY_WITH = {"numpy.load": ("allow_pickle", False), "torch.load": ("weights_only", True)}
"""Calls that are harmless with one value of one argument, which must be written out."""
OPENS_SOCKETS = {
    *("socket.socket", "socket.create_server", "socket.create_connection", "asyncio.start_server"),
    *("http.server.HTTPServer", "http.server.ThreadingHTTPServer", "socketserver.TCPServer"),
    *("distributed.LocalCluster", "distributed.Scheduler", "distributed.Worker"),
    *("distributed.Client", "urllib.request.urlopen", "requests.get", "pooch.HTTPDownloader"),
}
"""Calls that listen to or speak with other processes."""
ALLOWED = {
    (
        "sweeps/evaluation.py",
        "cloudpickle.loads",
    ): "what this program sent its own worker processes",
    ("sweeps/cluster.py", "distributed.Client"): "the scheduler that the caller named",
    ("datasets/files.py", "pooch.HTTPDownloader"): "data sets, held to their published hashes",
}
"""Every place with a listed call, and why it may."""


def names_of_imports(tree):
    """Name in a module -> what it stands for, of everything that is imported anywhere in it."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                top = each.name.partition(".")[0]
                found[each.asname or top] = each.name if each.asname else top
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for each in node.names:
                found[each.asname or each.name] = f"{node.module}.{each.name}"
    return found


def full_name(node, imported):
    """The dotted name of an expression; None if it is none. ``optional("torch")`` is torch."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([imported.get(node.id, node.id), *reversed(parts)])


def suspicious(text):
    """Listed calls, and uses as a value, in a module; harmless ones by their argument are not."""
    tree = ast.parse(text)
    imported = names_of_imports(tree)
    harmless = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (name := full_name(node.func, imported)) in ONLY_WITH:
            argument, value = ONLY_WITH[name]
            if any(each.arg == argument and is_constant(each, value) for each in node.keywords):
                harmless.add(node.func)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and node not in harmless:
            name = full_name(node, imported)
            if name in RUNS_CODE | OPENS_SOCKETS | set(ONLY_WITH):
                found.append(name)
        is_switch = isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "shell")
        if is_switch and not is_constant(node, False):
            found.append(f"{node.arg}=")
    return found


def is_constant(keyword, value):
    """Whether an argument is this constant, written out."""
    return isinstance(keyword.value, ast.Constant) and keyword.value.value is value


def sources():
    """Every module by its path from the root of the repository."""
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for package in PACKAGES
        for path in sorted((ROOT / package).glob("**/*.py"))
    }


@pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="needs the repository")
def test_nothing_that_is_read_is_run():
    """No listed call but in the listed places, and every listed place still has its call."""
    found = {(path, name) for path, text in sources().items() for name in suspicious(text)}
    assert len(sources()) > 150
    assert found == set(ALLOWED)


@pytest.mark.parametrize(
    "text",
    [
        "import pickle\npickle.loads(content)",
        "from pickle import loads as read\nread(content)",
        "import numpy as np\nnp.load(path)",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "import numpy as np\nnp.save(path, values, allow_pickle=flag)",
        "def f():\n    import torch\n    torch.load(path)",
        "import torch\ntorch.load(path, weights_only=False)",
        "eval(text)",
        "list(map(eval, texts))",
        "import yaml\nyaml.load(text)",
        "import socket\nsocket.socket()",
        "from http.server import HTTPServer\nHTTPServer(address, handler)",
        "from distributed import LocalCluster\nLocalCluster()",
        "import subprocess\nsubprocess.run(command)",
        "run(command, shell=True)",
    ],
)
def test_the_search_finds(text):
    """Each listed kind of call is found, also under another name and inside a function."""
    assert suspicious(text)


@pytest.mark.parametrize(
    "text",
    [
        "import numpy as np\nnp.load(path, allow_pickle=False)",
        "torch = optional('torch', 'torch')\ntorch.load(path, weights_only=True)",
        "import re\nre.compile(pattern)",
        "model.eval()",
    ],
)
def test_the_search_passes_over(text):
    """What is harmless is not found."""
    assert suspicious(text) == []


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_in_a_file_is_not_run(tmp_path):
    """A pickle that would make a file, given to every reader of binary files, makes none."""
    import pickle

    victim, bomb = tmp_path / "victim", tmp_path / "bomb"
    content = pickle.dumps(Bomb(victim))
    pickle.loads(content)
    assert victim.exists()  # it does work
    victim.unlink()
    readers = [zerohm.sweeps.load, zerohm.devices.load]
    network = zerohm.training.mlp([2, 2], hardware=zerohm.mapping.digital())
    interchange = zerohm.training.interchange
    for load in (interchange.load_onnx, interchange.load_state_dict):
        readers.append(lambda path, load=load: load(network, path))
    for prefix in (b"", b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, "):
        bomb.write_bytes(prefix + content)
        for read in readers:
            with pytest.raises(zerohm.InputError):
                read(bomb)
    assert not victim.exists()
