"""ResNet-18: the feature extractor of the published end-to-end network.

K. He and others, "Deep residual learning for image recognition", CVPR 2016, table 1, with the shapes of torchvision's
model, so that its published weights fit by name.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

_STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))  # channels and stride of each pair of blocks


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a way around them.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        stride: Of the first convolution; where it is not 1, or the channels differ, the way around is a 1 x 1 one.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Tensor:
        """Apply the block."""
        around = x if self.downsample is None else self.downsample(x)
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + around)


class ResNet18(nn.Module):
    """The network with 18 layers of weights.

    Args:
        outputs: Of the last, linear layer; 1000 is that of ImageNet, with 11,689,512 parameters in all.
    """

    def __init__(self, outputs: int = 1000) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = 64
        for number, (channels, stride) in enumerate(_STAGES, start=1):
            blocks = nn.Sequential(BasicBlock(inputs, channels, stride), BasicBlock(channels, channels, 1))
            self.add_module(f"layer{number}", blocks)
            inputs = channels
        self.fc = nn.Linear(512, outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch outputs"]:
        """Apply the network to images of 32 pixels or more a side, about zero mean and unit deviation."""
        x = self.maxpool(torch.relu(self.bn1(self.conv1(images))))
        for number in range(1, len(_STAGES) + 1):
            x = self.get_submodule(f"layer{number}")(x)
        return self.fc(x.mean(dim=(2, 3)))
