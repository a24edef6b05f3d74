"""Dropout layers of other libraries, each as the framework's own kind of layer or function, without dropcheck.

``LAYERS``: by name, what makes it and what it promises. A library whose package does not import beside this PyTorch is read
from its one file.
"""

import importlib
import importlib.machinery
import importlib.util
import sys
import types

LAYERS = {}


def layer(name, pattern, kind="torch", scale="inverted", **more):
    """Enter what makes a layer of a rate, or a function of an array and a rate."""

    def enter(make):
        LAYERS[name] = {"make": make, "pattern": pattern, "kind": kind, "scale": scale, **more}
        return make

    return enter


def lone(package, inside):
    """A file of a package, run by itself."""
    name = f"{package}_{inside.rpartition('/')[2].removesuffix('.py')}"
    if name not in sys.modules:
        folder = importlib.util.find_spec(package).submodule_search_locations[0]
        spec = importlib.util.spec_from_file_location(name, f"{folder}/{inside}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


def registry(package):
    """A registry of OpenMMLab that registers nothing, in the place of the one in a package that does not import here."""

    class Nothing:
        def register_module(self, *words, **more):
            return lambda thing: thing

    if f"{package}.registry" not in sys.modules:
        spec = importlib.util.find_spec(package)
        sys.modules.setdefault(package, types.ModuleType(package)).__spec__ = spec
        sys.modules[f"{package}.registry"] = types.ModuleType(f"{package}.registry")
        sys.modules[f"{package}.registry"].MODELS = Nothing()


def torchvision(inside):
    """An operation of torchvision; the package itself does not import where its compiled part belongs to another PyTorch."""
    for name in ("torchvision", "torchvision.ops"):
        if name not in sys.modules:
            folder = importlib.util.find_spec("torchvision").submodule_search_locations[0]
            sys.modules[name] = types.ModuleType(name)
            sys.modules[name].__version__ = "0"
            sys.modules[name].__path__ = [folder + "/ops" * name.count(".")]
            sys.modules[name].__spec__ = importlib.util.spec_from_loader(name, None, is_package=True)
            sys.modules[name].__spec__.submodule_search_locations = sys.modules[name].__path__
    return importlib.import_module(f"torchvision.ops.{inside}")


# PyTorch


@layer("hanlp_shared", "n l c -> n c")
def hanlp_shared(rate):
    return lone("hanlp", "layers/dropout.py").SharedDropout(rate)


@layer("hanlp_locked", "n l c -> n c")
def hanlp_locked(rate):
    return lone("hanlp", "layers/dropout.py").LockedDropout(rate)


@layer("supar_shared", "n l c -> n c")
def supar_shared(rate):
    return lone("supar", "modules/dropout.py").SharedDropout(rate)


@layer("supar_independent", "n l c -> n l", scale="none", output=0)
def supar_independent(rate):  # one tensor of a list
    return lone("supar", "modules/dropout.py").IndependentDropout(rate)


@layer("stanza_word", "n l c -> n l", scale="none")
def stanza_word(rate):
    return lone("stanza", "models/common/dropout.py").WordDropout(rate)


@layer("stanza_locked", "n l c -> n c")
def stanza_locked(rate):
    return lone("stanza", "models/common/dropout.py").LockedDropout(rate)


def _boltz(columnwise):
    import torch
    from boltz.model.layers.dropout import get_dropout_mask

    class Masked(torch.nn.Module):  # as its trunk uses it
        def __init__(self, rate):
            super().__init__()
            self.rate = rate

        def forward(self, z):
            return z * get_dropout_mask(self.rate, z, self.training, columnwise=columnwise)

    return Masked


@layer("boltz_rows", "b i j c -> b i")
def boltz_rows(rate):
    return _boltz(False)(rate)


@layer("boltz_columns", "b i j c -> b j")
def boltz_columns(rate):
    return _boltz(True)(rate)


@layer("mmcv_drop_path", "n c l -> n")
def mmcv_drop_path(rate):
    registry("mmengine")
    return lone("mmcv", "cnn/bricks/drop.py").DropPath(rate)


@layer("kornia_drop_path", "n c l -> n")
def kornia_drop_path(rate):
    return lone("kornia", "feature/dedode/transformer/layers/drop_path.py").DropPath(rate)


@layer("pytorchvideo_drop_path", "n c l -> n")
def pytorchvideo_drop_path(rate):
    return lone("pytorchvideo", "layers/drop_path.py").DropPath(rate)


@layer("efficientnet_drop_connect", "n c h w -> n")
def efficientnet_drop_connect(rate):
    import torch
    from efficientnet_pytorch.utils import drop_connect

    class Connect(torch.nn.Module):
        def forward(self, x):
            return drop_connect(x, rate, self.training)

    return Connect()


@layer("torchvision_depth_row", "n c l -> n")
def torchvision_depth_row(rate):
    return torchvision("stochastic_depth").StochasticDepth(rate, "row")


@layer("torchvision_depth_batch", "n c l -> 1")
def torchvision_depth_batch(rate):
    return torchvision("stochastic_depth").StochasticDepth(rate, "batch")


def _geometric(kind):
    import torch
    from e2cnn import gspaces, nn

    class Wrapped(torch.nn.Module):
        def __init__(self, rate):
            super().__init__()
            self.rate, self.layers = rate, {}
            kind(nn, gspaces, 1)(rate)  # a rate that it refuses

        def forward(self, x):
            size = x.shape[1]
            if size not in self.layers:
                self.layers[size] = kind(nn, gspaces, size)(self.rate)
            inner = self.layers[size].train(self.training)
            return inner(nn.GeometricTensor(x, inner.in_type)).tensor if self.training else x

    return Wrapped


def _field(nn, gspaces, size):
    space = gspaces.Rot2dOnR2(4)
    kind = nn.FieldType(space, size * [space.trivial_repr])
    return lambda rate: nn.FieldDropout(kind, rate)


def _pointwise(nn, gspaces, size):
    space = gspaces.Rot2dOnR2(4)
    kind = nn.FieldType(space, size * [space.trivial_repr])
    return lambda rate: nn.PointwiseDropout(kind, rate)


@layer("e2cnn_field", "n c h w -> n c h w")
def e2cnn_field(rate):  # fields of one channel: a coin a position
    return _geometric(_field)(rate)


@layer("e2cnn_pointwise", "n c h w -> n c h w")
def e2cnn_pointwise(rate):
    return _geometric(_pointwise)(rate)


@layer("ivy_dropout", "n c l -> n c l")
def ivy_dropout(rate):
    torchvision("stochastic_depth")  # which ivy imports
    import ivy
    import torch

    ivy.set_backend("torch")

    class Wrapped(torch.nn.Module):
        def forward(self, x):
            return ivy.to_native(ivy.dropout(ivy.native_array(x), rate, training=self.training))

    return Wrapped()


@layer("dropblock_1", "n c h w -> n h w", scale="realised")
def dropblock_1(rate):
    from dropblock import DropBlock2D

    return DropBlock2D(rate, 1)


@layer("dropblock_3", "n c h w -> n h/3 w/3", scale="realised", gamma="area")
def dropblock_3(rate):
    from dropblock import DropBlock2D

    return DropBlock2D(rate, 3)


@layer("torchvision_block_1", "n c h w -> n c h w", scale="realised")
def torchvision_block_1(rate):
    return torchvision("drop_block").DropBlock2d(rate, 1)


@layer("torchvision_block_3", "n c h w -> n c h/3 w/3", scale="realised")
def torchvision_block_3(rate):
    return torchvision("drop_block").DropBlock2d(rate, 3)


@layer("timm_block_1", "n c h w -> n h w", scale="realised")
def timm_block_1(rate):
    return lone("timm", "layers/drop.py").DropBlock2d(rate, 1)


@layer("timm_block_3", "n c h w -> n h/3 w/3", scale="realised")
def timm_block_3(rate):
    return lone("timm", "layers/drop.py").DropBlock2d(rate, 3)


@layer("mmdet_block_1", "n c h w -> n c h w", scale="realised")
def mmdet_block_1(rate):
    registry("mmdet")
    return lone("mmdet", "models/layers/dropblock.py").DropBlock(rate, 1, warmup_iters=0)


@layer("mmdet_block_3", "n c h w -> n c h/3 w/3", scale="realised")
def mmdet_block_3(rate):
    registry("mmdet")
    return lone("mmdet", "models/layers/dropblock.py").DropBlock(rate, 3, warmup_iters=0)


@layer("timm_drop_path", "n c l -> n")
def timm_drop_path(rate):
    return lone("timm", "layers/drop.py").DropPath(rate)


@layer("monai_drop_path", "n c l -> n")
def monai_drop_path(rate):
    return lone("monai", "networks/layers/drop_path.py").DropPath(rate)


@layer("flair_locked", "n l c -> n c")
def flair_locked(rate):
    return lone("flair", "nn/dropout.py").LockedDropout(rate)


@layer("flair_word", "n l c -> n l", scale="none")
def flair_word(rate):
    return lone("flair", "nn/dropout.py").WordDropout(rate)


@layer("torchnlp_locked", "t b h -> b h")
def torchnlp_locked(rate):
    return lone("torchnlp", "nn/lock_dropout.py").LockedDropout(rate)


@layer("speechbrain_2d", "n t c f -> n c")
def speechbrain_2d(rate):
    for name in (
        "speechbrain",
        "speechbrain.utils",
        "speechbrain.utils.logger",
    ):  # it wants a logger, which logs nothing
        if name not in sys.modules:
            sys.modules[name] = types.ModuleType(name)
            sys.modules[name].get_logger = lambda name: None
            sys.modules[name].__spec__ = importlib.machinery.PathFinder.find_spec(name)
    return lone("speechbrain", "nnet/dropout.py").Dropout2d(rate)


def _class(package, inside, name, **given):
    """A class of a file that does not import here: its source alone, with PyTorch's names and those that are given."""
    import ast

    import torch
    from torch.nn.modules.dropout import _DropoutNd

    folder = importlib.util.find_spec(package).submodule_search_locations[0]
    text = open(f"{folder}/{inside}").read()
    node = next(n for n in ast.parse(text).body if isinstance(n, ast.ClassDef) and n.name == name)
    node.decorator_list = []
    names = {"__name__": f"{package}_{name}", "torch": torch, "nn": torch.nn, "F": torch.nn.functional}
    names |= {"Tensor": torch.Tensor, "_DropoutNd": _DropoutNd, **given}
    code = ast.unparse(ast.Module([ast.ImportFrom("__future__", [ast.alias("annotations")], 0), node], []))
    exec(compile(code, inside, "exec"), names)
    return names[name]


def _protenix(name):
    from functools import partialmethod

    base = _class("protenix", "model/triangular/layers.py", "Dropout")
    return _class("protenix", "model/triangular/layers.py", name, Dropout=base, partialmethod=partialmethod)


def _spiking(name, rate):
    """Multi-step, and reset before each call, which is one simulation: until a reset the mask stays, as documented."""
    import torch
    from spikingjelly.activation_based import layer

    class Wrapped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = getattr(layer, name)(rate, step_mode="m")

        def forward(self, x):
            self.inner.reset()
            return self.inner(x)

    return Wrapped()


@layer("allennlp_variational", "n l c -> n c")
def allennlp_variational(rate):
    return lone("allennlp", "modules/input_variational_dropout.py").InputVariationalDropout(rate)


@layer("braindecode_drop_path", "n c l -> n")
def braindecode_drop_path(rate):
    for name in ("braindecode", "braindecode.functional"):  # the packages want MNE
        if name not in sys.modules:
            sys.modules[name] = types.ModuleType(name)
            sys.modules[name].__spec__ = importlib.machinery.PathFinder.find_spec("braindecode")
    functions = lone("braindecode", "functional/functions.py")

    import torch

    class DropPath(torch.nn.Module):  # as braindecode.modules.DropPath calls it
        def forward(self, x):
            return functions.drop_path(x, rate, self.training)

    return DropPath()


@layer("ultralytics_drop_path", "n c l -> n")
def ultralytics_drop_path(rate):
    return _class("ultralytics", "models/sam/modules/blocks.py", "DropPath")(rate)


@layer("nnunet_drop_path", "n c l -> n")
def nnunet_drop_path(rate):
    return lone("dynamic_network_architectures", "building_blocks/regularization.py").DropPath(rate)


@layer("super_gradients_drop_path", "n c l -> n")
def super_gradients_drop_path(rate):
    return lone("super_gradients", "training/utils/regularization_utils.py").DropPath(rate)


@layer("protenix_rows", "b i j c -> b j c")
def protenix_rows(rate):
    return _protenix("DropoutRowwise")(rate)


@layer("darts_monte_carlo", "n l c -> n l c")
def darts_monte_carlo(rate):  # off in inference until a prediction is made with it
    return _class("darts", "utils/torch.py", "MonteCarloDropout")(rate)


@layer("e3nn_dropout", "n l c -> n c")
def e3nn_dropout(rate):  # scalars: irreps of one component
    import torch

    made = _class(
        "e3nn",
        "nn/_dropout.py",
        "Dropout",
        compile_mode=lambda mode: lambda thing: thing,
        o3=types.SimpleNamespace(Irreps=list),
    )

    class Wrapped(torch.nn.Module):
        def forward(self, x):
            return made([(x.shape[-1], (0, 1))], rate).train(self.training)(x)

    return Wrapped()


@layer("spikingjelly_dropout", "t n c -> n c")
def spikingjelly_dropout(rate):
    return _spiking("Dropout", rate)


@layer("torchrl_consistent", "n l c -> n l c")
def torchrl_consistent(rate):  # a mask of its own where none is given to it
    import torch

    inner = _class("torchrl", "modules/models/exploration.py", "ConsistentDropout")(rate)

    class Wrapped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            y = self.inner(x)
            return y[0] if self.training else y

    return Wrapped()


# Keras on PyTorch: a layer a dtype, switched by ``training=`` of the call. Seed generators of their own are made when a layer is
# built, so that no seed from outside reaches them later (``seeds=()``).


def _keras(kind):
    """Keras layers, made by a function of a dtype, as one module."""
    import torch

    class Wrapped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.made = {}
            kind("float32")  # a rate that it refuses

        def forward(self, x):
            dtype = str(x.dtype).removeprefix("torch.")
            if dtype not in self.made:
                self.made[dtype] = kind(dtype)
            return self.made[dtype](x, training=self.training)

    return Wrapped()


def _drawn():
    """A seed that PyTorch's seed gives."""
    import torch

    return int(torch.randint(2**31 - 1, ()))


def _keras_file(package, inside):
    """A layer's file of a package that wants TensorFlow; what it takes from there is Keras' own, or is not used by the layer."""
    import os

    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    if package not in sys.modules:
        cv = ("src", "src.backend", "src.api_export", "src.utils")
        hub = (
            "src",
            "src.utils",
            "src.utils.keras_utils",
            "src.models",
            "src.models.mobilenet",
            "src.models.mobilenet.util",
        )
        for name in ("", *(f".{one}" for one in (cv if package == "keras_cv" else hub))):
            module = sys.modules[package + name] = types.ModuleType(package + name)
            module.keras_cv_export = lambda *words, **more: lambda thing: thing
            module.keras, module.ops, module.random = keras, keras.ops, keras.random
            module.standardize_data_format = module.adjust_channels = module.conv_utils = None
        sys.modules[package].__spec__ = importlib.machinery.PathFinder.find_spec(package)
    return lone(package, f"src/{inside}")


@layer("keras_cv_drop_path", "n c l -> n", seeds=())
def keras_cv_drop_path(rate):
    kind = _keras_file("keras_cv", "layers/regularization/drop_path.py").DropPath
    return _keras(lambda dtype: kind(rate, seed=_drawn(), dtype=dtype))


@layer("keras_hub_mit", "n c l -> n", seeds=())
def keras_hub_mit(rate):
    kind = _keras_file("keras_hub", "models/mit/mit_layers.py").DropPath
    return _keras(lambda dtype: kind(rate, seed=_drawn(), dtype=dtype))


@layer("keras_hub_swin", "n c l -> n", seeds=())
def keras_hub_swin(rate):
    kind = _keras_file("keras_hub", "models/swin_transformer/swin_transformer_layers.py").DropPath
    return _keras(lambda dtype: kind(rate, seed=_drawn(), dtype=dtype))


@layer("keras_hub_dinov2", "n c l -> n", seeds=())
def keras_hub_dinov2(rate):
    kind = _keras_file("keras_hub", "models/dinov2/dinov2_layers.py").DINOV2DropPath

    def made(dtype):
        import keras

        keras.utils.set_random_seed(_drawn())  # it draws from Keras' own global generator
        return kind(rate, dtype=dtype)

    return _keras(made)


# JAX: f(x, rate, *, training, key)


@layer("stax_dropout", "n c l -> n c l", kind="jax")
def stax_dropout(x, rate, *, training, key):
    from jax.example_libraries import stax

    return stax.Dropout(1 - rate, "train" if training else "test")[1]((), x, rng=key)


@layer("objax_dropout", "n c l -> n c l", kind="jax")
def objax_dropout(x, rate, *, training, key):
    import objax

    return objax.nn.Dropout(1 - rate, lambda: key)(x, training)


@layer("equimo_drop_path", "n c l -> n", kind="jax")
def equimo_drop_path(x, rate, *, training, key):
    return lone("equimo", "layers/dropout.py").DropPath(rate)(x, key=key, inference=not training)


# NumPy: f(x, rate, *, training, rng)


@layer("onnx_reference", "n c l -> n c l", kind="numpy")
def onnx_reference(x, rate, *, training, rng):
    from onnx.reference.ops.op_dropout import Dropout_12

    return Dropout_12._private_run(
        types.SimpleNamespace(n_outputs=1),
        x,
        seed=int(rng.integers(2**31))
        if training
        else 0,  # what this wrapper draws is no business of the layer's inference
        ratio=rate,
        training_mode=training,
    )[0]


# its seed is an attribute of the node, as exporters write it: no seed from outside is promised to reach it
@layer("onnx_reference_seed", "n c l -> n c l", kind="numpy", seeds=())
def onnx_reference_seed(x, rate, *, training, rng):
    from onnx.reference.ops.op_dropout import Dropout_12

    return Dropout_12._private_run(types.SimpleNamespace(n_outputs=1), x, seed=7, ratio=rate, training_mode=training)[0]


@layer("thinc_dropout", "n c l -> n c l", kind="numpy-global")
def thinc_dropout(x, rate, *, training):
    from thinc.api import Dropout

    return Dropout(rate).predict(x) if not training else Dropout(rate)(x, is_train=True)[0]


@layer("numpy_ml_dropout", "n c -> n c", kind="numpy-global")
def numpy_ml_dropout(x, rate, *, training):
    class Same:  # a wrapped layer that does nothing
        hyperparameters, derived_variables, parameters, gradients = {}, {}, {}, {}
        trainable = training

        def forward(self, x, retain_derived=True):
            return x

    from numpy import asarray

    made = _wrapper()(Same(), rate)
    return asarray(made.forward(x, retain_derived=False))


def _wrapper():
    """numpy-ml's wrapper, without its package, which does not import beside this NumPy."""
    import ast

    import numpy

    folder = importlib.util.find_spec("numpy_ml").submodule_search_locations[0]
    text = open(f"{folder}/neural_nets/wrappers/wrappers.py").read()
    some = [n for n in ast.parse(text).body if isinstance(n, ast.ClassDef)]
    names = {"np": numpy, "ABC": object, "abstractmethod": lambda thing: thing, "__name__": "numpy_ml_wrappers"}
    for node in some:
        node.decorator_list = []
    exec(compile(ast.unparse(ast.Module(some, [])), "wrappers.py", "exec"), names)
    return names["Dropout"]
