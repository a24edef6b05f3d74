"""Files of libraries that are run by themselves, because importing their package needs far more than the file does."""

from __future__ import annotations

import importlib.util
import os
import sys
from types import ModuleType
from typing import Dict, Tuple

from spatial_dropouts.adapters.loading import TargetNotFound

# name here: package, file inside it, and why the package is not imported
FILES: Dict[str, Tuple[str, str, str]] = {
    "timm": ("timm", "layers/drop.py", "timm.layers imports torchvision"),
    "flair": ("flair", "nn/dropout.py", "flair imports boto3, gensim-like readers and a dozen more"),
    "hanlp": ("hanlp", "layers/dropout.py", "hanlp imports all of its components"),
    "supar": ("supar", "modules/dropout.py", "supar imports all of its parsers"),
    "stanza": ("stanza", "models/common/dropout.py", "stanza imports its pipelines"),
    "kornia": ("kornia", "feature/dedode/transformer/layers/drop_path.py", "kornia imports all of its parts"),
    "pytorchvideo": ("pytorchvideo", "layers/drop_path.py", "pytorchvideo.layers imports all of its layers"),
    "allennlp": ("allennlp", "modules/input_variational_dropout.py", "allennlp imports transformers"),
    "super_gradients": (
        "super_gradients",
        "training/utils/regularization_utils.py",
        "super_gradients imports its trainers",
    ),
}


def __getattr__(name: str) -> ModuleType:
    """The module of one of FILES, as in ``spatial_dropouts.adapters.lone_files:timm.DropPath``.

    The package is looked up and never imported. Raises AttributeError for other names, TargetNotFound where the package or
    the file is not there.
    """
    if name not in FILES:
        raise AttributeError(name)
    package, inside, _ = FILES[name]
    qualified = f"spatial_dropouts.adapters.lone_files.{name}"
    if qualified in sys.modules:
        return sys.modules[qualified]
    found = importlib.util.find_spec(package)
    folders = list(found.submodule_search_locations or ()) if found is not None else []
    path = next((p for p in (os.path.join(f, *inside.split("/")) for f in folders) if os.path.isfile(p)), None)
    if path is None:
        raise TargetNotFound(
            f"{package} has no file {inside} here"
            if folders
            else f"there is no package {package!r} in this environment: pip install --no-deps {package}"
        )
    spec = importlib.util.spec_from_file_location(qualified, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[qualified] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[qualified]
        raise
    return module
