"""What dropcheck needs to know of the framework ``tiny``."""

import numpy as np
import tiny

from dropcheck import Contract, Implementation, Pattern
from dropcheck.adapter import Unsupported, unchanged


class TinyLayers:
    """Drives layers of ``tiny``: arrays in, arrays out, seeds through the global generator."""

    framework = "tiny"

    def __init__(self, obj, implementation):
        self.obj, self.implementation = obj, implementation
        self.contract = implementation.resolve_contract(Pattern.parse("n c l -> n c"), ("global",))

    def version(self):
        return tiny.VERSION

    def dtypes(self):
        return ("float32", "float64")

    def layouts(self):
        return ("contiguous",)

    def gradients(self):
        return False

    def tensor(self, values, dtype, layout="contiguous"):
        if layout != "contiguous":
            raise Unsupported("tiny has contiguous arrays only")
        return tiny.Tensor(np.array(values, dtype))

    def array(self, tensor):
        return tensor.values

    def dtype_of(self, tensor):
        return str(tensor.values.dtype)

    def make(self, rate, dtype, seed, way):
        if seed is not None:
            tiny.seed(seed)
        return self.implementation.construct(self.obj, rate)

    def reseed(self, layer, seed, way):
        tiny.seed(seed)
        return layer

    def apply(self, layer, x, training):
        return layer(x, training)

    def gradient(self, layer, x, cotangent):
        raise Unsupported("tiny has no gradients")

    def recording(self, on):
        return unchanged()

    def track(self, x):
        return x

    def preserved(self):
        return unchanged()


contract = Contract(Pattern.parse("n c l -> n c"), gradient=False)
channel_drop = Implementation(make=tiny.ChannelDrop, adapter=TinyLayers, contract=contract)
shared_drop = Implementation(make=tiny.ChannelDrop, adapter=TinyLayers, contract=contract, options={"shared": True})
