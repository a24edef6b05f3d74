"""`F.dropout` without `self.training` drops in inference, too. No layer of the model shows it.

Covers: PyTorch, Keras, Flax and Equinox models, and functions of arrays. Every operation that moves a random generator, in one
pass in training and one in inference.
"""

import torch


class Wrong(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p
        self.dense = torch.nn.Linear(8, 8)

    def forward(self, x):
        return torch.nn.functional.dropout(self.dense(x), self.p)  # training=True is the default


class Right(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.p = p
        self.dense = torch.nn.Linear(8, 8)

    def forward(self, x):
        return torch.nn.functional.dropout(self.dense(x), self.p, training=self.training)
