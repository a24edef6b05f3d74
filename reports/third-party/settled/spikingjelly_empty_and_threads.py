"""SpikingJelly 2.0.0: a simulation of no steps raises IndexError, and two threads share the mask that is kept; T/bin/python."""

import sys
import threading

import torch
from spikingjelly.activation_based import layer

drop = layer.Dropout(0.5, step_mode="m").train()
try:
    drop(torch.ones(0, 3, 5))
    raised = ""
except IndexError as error:
    raised = str(error)
print("no steps:", raised or "works")
drop.reset()
samples = tuple(drop(torch.ones(3, 0, 5)).shape)
print("no samples:", samples)
drop.reset()
found = {}
threads = [threading.Thread(target=lambda i=i: found.update({i: drop(torch.ones(2, 50, 40))})) for i in range(2)]
for one in threads:  # one after the other: at the same time, both may find no mask yet and draw one each
    one.start()
    one.join()
alike = bool((found[0] == found[1]).all())
print("two threads without a reset between them have the same mask:", alike)  # by chance with probability 2^-2000
sys.exit(not (raised and samples == (3, 0, 5) and alike))
