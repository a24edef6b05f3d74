"""What an adapter may offer beyond its protocol, and what holds of one that does not: all that the worker asks by name."""

from __future__ import annotations

from typing import Any, Dict, Mapping

# Imported by the worker: the standard library only, Python 3.9 at run time.

_NONE: Mapping[str, Any] = {}

# name -> what it is where an adapter lacks it; None: nothing takes its place
OFFERS: Dict[str, Any] = {
    # what it says of itself, told when a target is opened
    "guessed": "",  # how a contract that nobody declared was guessed
    "modes": (),  # words that ``use(mode)`` knows, beside eager
    "heavy": False,  # a call costs milliseconds, and each new shape perhaps a compilation; 2: tens of milliseconds
    "widest": 0,  # channels above which a call costs more than its decisions are worth: no case has more; 0: any number
    "inference": True,  # the layer can be called in inference
    "records": True,  # a call that records gradients may run other code than one that does not
    "overwrites": False,  # the layer is documented to write into its input
    "switches": (),  # ways of switching to inference
    "returns_weights": False,  # attention of which ``weights(layer, x)`` shows what it returns
    "fixed": _NONE,  # what an object as it stands does not leave open
    "immutable": False,  # nobody can write into an array
    "recompute_ways": (),  # ways of checkpointing that ``recompute`` knows
    "obj": None,  # the layer, class or function that it drives
    # what it can do besides
    "inference_gradient": None,  # ``gradient`` in inference
    "repeated": None,  # outputs of many training calls on one input
    "copies": None,  # many copies of a tensor at once
    "held": None,  # outputs of one shape, kept on the device
    "place": None,  # layers and tensors on another device than the CPU
    "weights": None,  # one call's attention weights, and mask times scale that its output shows
    "sibling": None,  # another layer of the same model; ``make`` makes one elsewhere
    "caller": None,  # a call with as little around it as the framework allows
    "precision": None,  # a context for a dtype
    # what can be asked of every adapter all the same
    "holder": lambda layer: layer,  # the object that a layer keeps its state in
    "ambient": dict,  # what is set globally, by name
    "streams": dict,  # the framework's global random streams: name -> (set to a number, draw four integers)
    "control": lambda: None,  # a twin for the framework's own plain layer
}


def offered(adapter: Any, name: str) -> Any:
    """What the adapter offers under this name, or the default of ``OFFERS``."""
    return getattr(adapter, name, OFFERS[name])
