"""What an adapter fulfils and what registers it: the public place of ``dropcheck.contract.adapter``."""

from dropcheck.contract.adapter import DTYPES as DTYPES
from dropcheck.contract.adapter import LAYOUTS as LAYOUTS
from dropcheck.contract.adapter import Adapter as Adapter
from dropcheck.contract.adapter import Implementation as Implementation
from dropcheck.contract.adapter import Unsupported as Unsupported
from dropcheck.contract.adapter import global_generators_kept as global_generators_kept
from dropcheck.contract.adapter import unchanged as unchanged
from dropcheck.contract.server_adapter import ServerAdapter as ServerAdapter
