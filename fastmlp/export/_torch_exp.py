"""The exponential as a module, which PyTorch has not; imported with PyTorch only."""

import torch


class Exp(torch.nn.Module):
    """eᶻ of each element."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Compute it.

        Parameters
        ----------
        z : Tensor
            Of any shape.

        Returns
        -------
        Tensor
            Of the same shape.
        """
        return torch.exp(z)
