"""Training speed of CSINet+: our convolutions against PyTorch's own, steps in turn in one run.

python benchmarks/csinet_training.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sitetwin.learn.csi.convolution import FewChannels
from sitetwin.learn.csi.csinet import csinet_plus_network

BATCH, ROUNDS, WARM = 32, 20, 3


def main() -> None:
    """Print samples per second of both, and their ratio."""
    torch.set_num_threads(1)
    network = csinet_plus_network(torch.Generator().manual_seed(0))
    network.train()
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    x = torch.randn(BATCH, 2, 32, 32, generator=torch.Generator().manual_seed(1))
    x = x / x.flatten(1).norm(dim=1)[:, None, None, None]

    def step() -> None:
        optimiser.zero_grad()
        nn.functional.mse_loss(network.decoder(network.encoder(x)), x).backward()
        optimiser.step()

    seconds: dict[str, list[float]] = {"ours": [], "PyTorch": []}
    kinds: dict[str, Callable[[FewChannels, Tensor], Tensor]] = {
        "ours": FewChannels.forward,
        "PyTorch": nn.Conv2d.forward,
    }
    for turn in range(ROUNDS):
        for name, forward in kinds.items():
            FewChannels.forward = forward  # type: ignore[method-assign]
            began = time.process_time()
            step()
            if turn >= WARM:
                seconds[name].append(time.process_time() - began)
    best = {name: min(found) for name, found in seconds.items()}
    for name, found in best.items():
        print(f"{name}: {BATCH / found:.0f} samples/s, one thread, batches of {BATCH}")
    print(f"ratio {best['PyTorch'] / best['ours']:.2f}")


if __name__ == "__main__":
    main()
