"""A seed that is set inside of `forward` gives two layers one mask. Both layers then drop the same channels.

Covers: PyTorch models: two training passes, and every pair of dropout layers. ONNX files: the masks of every pair,
place by place.
"""

import torch


class Wrong(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.first, self.second = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)
        self.p = p

    def forward(self, x):
        for dense in (self.first, self.second):
            torch.manual_seed(0)  # both functions draw the same mask, in every pass
            x = torch.nn.functional.dropout(dense(x), self.p, training=self.training)
        return x


class Right(torch.nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        self.first, self.second = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)
        self.p = p

    def forward(self, x):
        for dense in (self.first, self.second):
            x = torch.nn.functional.dropout(dense(x), self.p, training=self.training)
        return x
