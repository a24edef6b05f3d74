"""Two layers of server.c as targets: `dropcheck audit layers.py:channels`, `dropcheck audit layers.py:thrifty`."""

from pathlib import Path

from dropcheck import Implementation
from dropcheck.adapter import ServerAdapter

SERVER = str(Path(__file__).with_name("server"))

channels = Implementation(make=ServerAdapter(command=[SERVER], layer="channels"), contract="n c l -> n c")
thrifty = Implementation(make=ServerAdapter(command=[SERVER], layer="thrifty"), contract="n c l -> n c")
