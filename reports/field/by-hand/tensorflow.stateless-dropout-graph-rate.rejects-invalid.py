"""tf.nn.experimental.stateless_dropout inside a tf.function obeys a rate that is no probability.

Exits with status 1 where the defect shows and with 0 where it does not.
"""

import sys

import tensorflow as tf

RATE = float("nan")


@tf.function
def called(x, seed):
    return tf.nn.experimental.stateless_dropout(x, RATE, seed)


print("expected: rate nan is refused")
try:
    y = called(tf.ones((33, 65)), tf.constant([1000, 1], tf.int32)).numpy()
except Exception as error:
    print(f"observed: refused: {type(error).__name__}")
    sys.exit(0)
print(f"observed: rate nan is obeyed: {(y == 0).mean():.0%} of the elements are 0")
sys.exit(1)
