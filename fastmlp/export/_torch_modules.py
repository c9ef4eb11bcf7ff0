"""Modules that PyTorch lacks, or has in single precision; imported with it only."""

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


class HardSigmoid(torch.nn.Module):
    """z + 3 cut to 0 … 6, over 6: PyTorch's own has a sixth in single precision."""

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
        return torch.nn.functional.relu6(z + 3) / 6


class ToImages(torch.nn.Module):
    """Rows, which are images made flat, channels last, as PyTorch has images.

    Parameters
    ----------
    shape : tuple of int
        Height, width and channels.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute it.

        Parameters
        ----------
        x : Tensor of shape (n, height * width * channels)
            Rows.

        Returns
        -------
        Tensor of shape (n, channels, height, width)
        """
        return x.reshape(-1, *self.shape).permute(0, 3, 1, 2)


class ToRows(torch.nn.Module):
    """Images as rows again, channels last."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute it.

        Parameters
        ----------
        x : Tensor of shape (n, channels, height, width)
            Images.

        Returns
        -------
        Tensor of shape (n, height * width * channels)
        """
        return x.permute(0, 2, 3, 1).flatten(1)
