"""Trains one small network under Keras' current backend and writes it with its predictions; used once for each backend.

KERAS_BACKEND=jax python tools/write_keras_files.py tests/keras_files
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np


def main(folder: Path) -> None:
    """Write ``BACKEND.keras`` and ``BACKEND.npz`` (inputs, predictions) to ``folder``."""
    layers, name = keras.layers, keras.config.backend()
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.SeparableConv2D(6, 3, activation="silu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(3, activation="softmax"),
        ]
    )
    draw = np.random.default_rng(0)
    x = draw.integers(0, 256, (64, 12, 12, 3)).astype("float32")
    y = (x.mean((1, 2)).argmax(-1)).astype("int32")
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    model.fit(x, y, epochs=5, verbose=0)
    model.save(folder / f"{name}.keras")
    np.savez(folder / f"{name}.npz", x=x[:2], y=np.asarray(model(x[:2], training=False)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
