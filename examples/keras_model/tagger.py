"""A text tagger: words to classes, with spatial dropout after the embedding."""

import keras

keras.utils.set_random_seed(0)
model = keras.Sequential(
    [
        keras.Input((20,), dtype="int32"),
        keras.layers.Embedding(1000, 32),
        keras.layers.SpatialDropout1D(0.2, name="drop"),
        keras.layers.Conv1D(16, 3, padding="same", activation="relu"),
        keras.layers.Dense(10),
    ]
)
