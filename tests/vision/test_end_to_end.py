"""The published end-to-end network: its shape, and what it can learn."""

import numpy as np
import pytest
import torch

from sitetwin.errors import SiteTwinError
from sitetwin.vision.profiles import AZIMUTH_DEG
from sitetwin.vision.profiles.end_to_end import EndToEnd, Seen, Training, train_end_to_end
from sitetwin.vision.profiles.resnet import ResNet18


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_extractor_is_resnet_18():
    assert parameters(ResNet18()) == 11_689_512  # with 1000 classes, as published
    network = ResNet18(180)
    assert parameters(network) == 11_689_512 - 513 * 820
    layers = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(layers) - 3 == 18  # without the three 1 x 1 convolutions around
    assert network(torch.zeros(2, 3, 63, 112)).shape == (2, 180)
    names = set(network.state_dict())
    assert {"layer2.0.downsample.1.running_mean", "layer4.1.conv2.weight", "fc.bias"} <= names


def test_the_network_has_the_printed_parts():
    network = EndToEnd()
    assert parameters(network) - parameters(ResNet18(180)) == 2 * 180 + 361 * 180 + 181 * 180
    assert network(torch.zeros(2, 3, 63, 112), torch.zeros(2, 1)).shape == (2, 180)


def scene(rows, seed):
    """Dark images with a bright square where the user is, and its profile; azimuths that say nothing."""
    rng = np.random.default_rng(seed)
    column = rng.integers(4, 60, rows)
    images = np.zeros((rows, 36, 64, 3), dtype=np.uint8)
    for image, at in zip(images, column, strict=True):
        image[14:22, at - 4 : at + 4] = 255
    azimuth = 45 - 90 * column / 64
    return Seen(images, np.zeros(rows)), np.exp(-(((AZIMUTH_DEG - azimuth[:, None]) / 8) ** 2)), azimuth


def test_it_learns_where_a_user_is_from_images_alone():
    torch.set_num_threads(1)
    seen, profiles, _ = scene(96, 0)
    held = np.arange(96) >= 80
    trained = train_end_to_end(seen, profiles, held, 0, Training(epochs=8, patience=8))
    test, _, azimuth = scene(40, 1)
    found = trained.profiles(test)
    assert (found >= 0).all()
    error = np.abs(AZIMUTH_DEG[found.argmax(axis=1)] - azimuth)
    mean = np.abs(AZIMUTH_DEG[profiles.mean(axis=0).argmax()] - azimuth)
    assert np.median(error) < 0.5 * np.median(mean)
    assert not trained.converged
    assert min(trained.errors) == trained.errors[trained.epoch - 1]


def test_trainings_repeat_and_seeds_differ():
    torch.set_num_threads(1)
    seen, profiles, _ = scene(12, 2)
    held = np.arange(12) >= 8
    one, same, other = (train_end_to_end(seen, profiles, held, seed, Training(epochs=1)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.profiles(seen), same.profiles(seen))
    assert not np.array_equal(one.profiles(seen), other.profiles(seen))


def test_a_network_that_no_longer_gains_has_converged():
    torch.set_num_threads(1)
    seen, profiles, _ = scene(8, 3)
    trained = train_end_to_end(seen, profiles, np.arange(8) >= 4, 0, Training(epochs=30, patience=1, rate=0.5))
    assert trained.converged
    assert len(trained.errors) < 30


def test_rows_that_cannot_be_learnt_from_are_refused():
    seen, profiles, _ = scene(6, 4)
    with pytest.raises(SiteTwinError, match="two drives or more"):
        train_end_to_end(seen, profiles, np.zeros(6, dtype=bool), 0)
    with pytest.raises(SiteTwinError, match="finite"):
        train_end_to_end(seen, profiles * np.nan, np.arange(6) > 3, 0)
    with pytest.raises(SiteTwinError, match="pair them"):
        Seen(seen.images, np.zeros(5))
    with pytest.raises(SiteTwinError, match="too small"):
        Seen(np.zeros((2, 16, 64, 3), dtype=np.uint8), np.zeros(2))
