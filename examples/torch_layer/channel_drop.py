"""A dropout layer that drops whole channels of an input of shape (samples, channels, time)."""

import torch


class ChannelDrop(torch.nn.Module):
    """Drops each channel with probability ``p`` in training, and multiplies the others by 1 / (1 - p)."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p is a probability, not {p}")
        self.p = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.p == 0:
            return x
        if self.p == 1:
            return x * 0
        keep = torch.rand(*x.shape[:2], 1, device=x.device) >= self.p
        return torch.where(keep, x / (1 - self.p), 0)
