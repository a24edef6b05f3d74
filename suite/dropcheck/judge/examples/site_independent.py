"""Wrong and right code for site.independent."""

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
