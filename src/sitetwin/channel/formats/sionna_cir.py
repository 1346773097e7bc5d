"""Impulse responses in the shapes that Sionna's `CIRDataset` takes, as an NPZ file and a generator that reads it.

One example is one user: `a` is (num_rx, num_rx_ant, num_tx, num_tx_ant, num_paths, num_time_steps) and `tau`
(num_rx, num_tx, num_paths), with one receiver, one transmitter and one time step. Sionna turns them into
``H(f) = sum_p a_p e^{-j 2 pi f tau_p}``, f counted from the carrier: the channel of this package.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Complex, Float, Integer
from torch import Tensor

from sitetwin.channel.formats.source import GainSource, Progress
from sitetwin.channel.synthesis.cir import ideal_response
from sitetwin.errors import SiteTwinError
from sitetwin.store.outputs import ATTRIBUTES, Spool, new_file, refuse_existing
from sitetwin.untrusted import parse_json
from sitetwin.untrusted.arrays import read_npz

_LONGEST_DELAY = 1.0  # s; light goes farther than to the moon


def write_sionna_cir(
    source: GainSource, out: str | Path, max_paths: int | None = None, progress: Progress | None = None
) -> Path:
    """Write the impulse responses of all users, users without a path included (their `a` is zero).

    Args:
        source: Paths and gains.
        out: The file, ending in .npz.
        max_paths: Number of strongest paths that are kept per user; all by default.
        progress: Called with the stage and its finished share.

    Raises:
        SiteTwinError: The file exists, its name has another ending, or the disk cannot be written.
    """
    out = refuse_existing(out)
    if out.suffix != ".npz":
        raise SiteTwinError(f"{out} does not end in .npz; name the file so")
    width = source.most_paths if max_paths is None else min(max_paths, source.most_paths)
    with new_file(out) as (file, scratch):
        spool = Spool(scratch)
        for _, paths, gains, request in source.tiles(progress):
            a, delay = ideal_response(paths, gains, request.tx, request.rx, width)
            users, rx, tx, count = a.shape
            padded = np.zeros((users, 1, rx, 1, tx, width, 1), np.complex64)
            padded[:, 0, :, 0, :, :count, 0] = a.numpy()
            tau = np.zeros((users, 1, 1, width), np.float32)
            tau[:, 0, 0, :count] = np.nan_to_num(delay.numpy())
            counts = np.minimum(paths.counts, width).astype(np.int32)
            spool.append({"a": padded, "tau": tau, "num_valid_paths": counts, "rx_position": paths.users})
        facts = source.facts(
            format="impulse responses for Sionna's CIRDataset",
            axes={
                "a": "example (user), num_rx, num_rx_ant, num_tx, num_tx_ant, num_paths, num_time_steps",
                "tau": "example (user), num_rx, num_tx, num_paths",
                "num_valid_paths": "example; further paths have a = 0 and tau = 0",
                "rx_position": "example, xyz",
            },
            units={"a": "1", "tau": "s", "rx_position": "m"},
            response="H(f) = sum_p a_p e^{-j 2 pi f tau_p}, f from the carrier",
            steering="of arrays at the carrier, plane waves: phases of the elements are in a",
        )
        spool.write_npz(file, facts)
    return out


_Example = tuple[
    Complex[Tensor, "num_rx num_rx_ant num_tx num_tx_ant num_paths steps"], Float[Tensor, "num_rx num_tx num_paths"]
]


class CirGenerator:
    """Yields (a, tau) user by user, to be given to Sionna's `CIRDataset` as its `cir_generator`.

    ``CIRDataset(generator, batch_size, **generator.sizes)``.

    Args:
        path: File that `write_sionna_cir` made.
        users: Indices of the users, in the wanted order; all by default.

    Raises:
        SiteTwinError: The file cannot be read or holds something else.
    """

    def __init__(self, path: str | Path, users: Integer[np.ndarray, " chosen"] | None = None) -> None:
        what, mend = f"the archive of impulse responses {path}", "export them again"
        archive = read_npz(Path(path), what, mend, ("a", "tau", ATTRIBUTES))
        self._a, self._tau = archive["a"], archive["tau"]
        self.attributes = parse_json(str(archive[ATTRIBUTES]).encode("utf-8", "surrogatepass"), what, mend)
        shape = self._a.shape
        if len(shape) != 7 or self._tau.shape != (shape[0], shape[1], shape[3], shape[5]):
            raise SiteTwinError(f"{path} holds arrays of other shapes; export it again")
        if self._a.dtype != np.complex64 or self._tau.dtype != np.float32:
            raise SiteTwinError(f"{path} holds other than complex64 responses and float32 delays; export it again")
        if not (np.isfinite(self._a).all() and ((self._tau >= 0) & (self._tau < _LONGEST_DELAY)).all()):
            raise SiteTwinError(
                f"{path} holds responses that are not finite, or delays that are not within 0 to {_LONGEST_DELAY:g} s; "
                "export it again"
            )
        self._users = np.arange(len(self._a)) if users is None else np.asarray(users, dtype=np.int64)

    @property
    def sizes(self) -> dict[str, int]:
        """num_rx, num_rx_ant, num_tx, num_tx_ant, num_paths, num_time_steps."""
        names = ("num_rx", "num_rx_ant", "num_tx", "num_tx_ant", "num_paths", "num_time_steps")
        return dict(zip(names, self._a.shape[1:], strict=True))

    def __len__(self) -> int:
        """Number of users."""
        return len(self._users)

    def __call__(self) -> Iterator[_Example]:
        """`a` complex64 and `tau` float32 of one user after the other, in the shapes of `CIRDataset`."""
        for user in self._users:
            yield torch.from_numpy(self._a[user]), torch.from_numpy(self._tau[user])
