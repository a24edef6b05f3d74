"""Layers are found in files that are read, not imported."""

from __future__ import annotations

from pathlib import Path

from dropcheck.plan import finding_layers

LAYERS = """
raise SystemExit("nobody imports this")
class ChannelDrop:
    def forward(self, x): ...
class DropConfig:
    def read(self): ...
class Convolution:
    def call(self, x): ...
class Base:
    def __init__(self, p=0.5): ...
    def forward(self, x): ...
class Quiet(Base): ...
class AbstractDropout(ABC):
    @abc.abstractmethod
    def mask(self, x): ...
    def forward(self, x): return x * self.mask(x)
class DropBase:
    def __init__(self, p): self.p = p
    def forward(self, x):
        "What subclasses do."
        raise NotImplementedError("drop")
class DropPath(DropBase):
    def forward(self, x): ...
class WideDrop(DropBase):
    def __init__(self, width, p): ...
    def forward(self, x): ...
class Block:
    def __init__(self, width, p=0.5): ...
    def forward(self, x): ...
def my_dropout(x, rate, *, training, rng): ...
def drop_table(x, name): ...
"""


def test_dropouts_are_classes_and_functions_that_look_like_one(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "layers.py").write_text(LAYERS)
    (tmp_path / "broken.py").write_text("class Dropout(")
    for hidden in (".git", "tests", "venv"):
        (tmp_path / hidden).mkdir()
        (tmp_path / hidden / "a.py").write_text(LAYERS)
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    (tmp_path / "test_layers.py").write_text(LAYERS)
    found = {one.target.removeprefix("net/layers.py:"): one.why_not for one in finding_layers.dropouts(tmp_path)}
    assert [name for name, why in found.items() if not why] == [
        "ChannelDrop",
        "Base",
        "Quiet",
        "DropPath",
        "my_dropout",
    ]
    assert {name: why for name, why in found.items() if why} == {
        "AbstractDropout": "abstract: mask is an abstract method",
        "DropBase": "a base class: forward raises NotImplementedError",
        "WideDrop": "its constructor also needs width: write an Implementation with options",
    }


def test_names_of_a_file_are_known_only_where_its_text_tells_all_of_them() -> None:
    plain = b'"""Doc."""\nimport a.b as c\nfrom d import e\nx, y = 1, 2\nz: int = 3\nclass F: ...\ndef g(): ...\n'
    assert finding_layers.names_in(plain) == ("c", "e", "x", "y", "z", "F", "g")
    for more in (
        b"from d import *\n",
        b"if x:\n    w = 1\n",
        b"setup()\n",
        b"def __getattr__(name): ...\n",
        b"class (",
    ):
        assert finding_layers.names_in(plain + more) is None
