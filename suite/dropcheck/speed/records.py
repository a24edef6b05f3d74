"""The result of a bench: the public place of ``dropcheck.results.bench``."""

from dropcheck.results.bench import SCHEMA as SCHEMA
from dropcheck.results.bench import Audit as Audit
from dropcheck.results.bench import BenchResult as BenchResult
from dropcheck.results.bench import BenchTarget as BenchTarget
from dropcheck.results.bench import Comparison as Comparison
from dropcheck.results.bench import Compile as Compile
from dropcheck.results.bench import Host as Host
from dropcheck.results.bench import Placebo as Placebo
from dropcheck.results.bench import Sample as Sample
from dropcheck.results.bench import Setup as Setup
from dropcheck.results.bench import Speed as Speed
from dropcheck.results.bench import State as State
from dropcheck.results.bench import Word as Word
from dropcheck.results.bench import Yardstick as Yardstick
from dropcheck.results.bench import decode as decode
from dropcheck.results.bench import encode as encode
from dropcheck.results.bench import exit_code as exit_code
from dropcheck.results.bench import frame as frame
from dropcheck.results.bench import load as load
from dropcheck.results.bench import save as save
from dropcheck.results.bench import schema as schema
