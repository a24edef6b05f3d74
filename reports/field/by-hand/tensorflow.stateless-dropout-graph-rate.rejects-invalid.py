"""tf.nn.experimental.stateless_dropout inside a tf.function obeys a rate that is no probability.

Exits with status 1 where the defect shows and not in the control, with 4 where it shows in both, else with 0.
"""

import sys

import tensorflow as tf

RATE = float("nan")


@tf.function
def called(x, seed):
    return tf.nn.experimental.stateless_dropout(x, RATE, seed)


@tf.function
def plain(x, seed):  # the control: a layer that looks at its rate
    if not 0 <= RATE <= 1:
        raise ValueError(RATE)
    return tf.where(tf.random.stateless_uniform(x.shape, seed) < RATE, 0.0, x / (1 - RATE))


def measured(function):
    try:
        y = function(tf.ones((33, 65)), tf.constant([1000, 1], tf.int32)).numpy()
    except Exception as error:
        return False, f"refused: {type(error).__name__}"
    return True, f"rate nan is taken: {(y == 0).mean():.0%} of the elements are 0"


(wrong, observed), (same, control) = measured(called), measured(plain)
print("expected: rate nan is refused")
print("observed:", observed)
print("control:", control)
sys.exit(4 if wrong and same else 1 if wrong else 0)
