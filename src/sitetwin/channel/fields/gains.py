"""The gains of paths, with the paths, carrier and radios that they belong to.

Gains alone are numbers: they do not say which paths, carrier or radios they belong to, and a channel made from the
wrong gains is wrong without any sign. `PathGains` keeps that knowledge with the numbers, and everything that makes
channels from paths and gains asks `PathGains.check` first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary
from zlib import crc32

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from sitetwin.channel.antennas.radio import Radio
from sitetwin.channel.fields.moved import MovedPaths
from sitetwin.channel.fields.options import FieldOptions
from sitetwin.channel.numerics.selection import chosen_users
from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import Paths
from sitetwin.store.ragged import take_groups


@dataclass(frozen=True)
class PathsKey:
    """A key that identifies a table of paths, computed quickly from the lengths.

    Two tables with the same key have users at the same places in the same order, each with paths of the same lengths
    in the same order. Another selection of users or paths, another order, another transmitter or another site has
    another key; tables that differ only in directions have the same key.

    Attributes:
        num_users: Number of users.
        num_paths: Number of paths.
        geometry_hash: Hash of the geometry in which the paths were traced; None if the paths do not state it.
        checksum: CRC-32 of the transmitter, the users, the offsets and the lengths.
    """

    num_users: int
    num_paths: int
    geometry_hash: str | None
    checksum: int

    @classmethod
    def of(cls, paths: Paths) -> PathsKey:
        """The key of a table of paths; it is computed once for each table."""
        if paths not in _KEYS:
            checksum = 0
            for array in (paths.transmitter, paths.users, paths.offsets, paths.length):
                checksum = crc32(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data, checksum)
            stated = paths.attributes.get("geometry_hash")
            _KEYS[paths] = cls(paths.num_users, paths.num_paths, stated, checksum)
        return _KEYS[paths]


_KEYS: WeakKeyDictionary[Paths, PathsKey] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False, repr=False)
class PathGains:
    """Complex voltage gains of paths between the ports of two radios, carrier phase included.

    `path_gains` and `band_nodes` make them. `PathGains.of` wraps gains that come from elsewhere.

    Attributes:
        values: Complex gains: ``|a|^2`` is received over transmitted power. A leading axis, where there is one, counts
            the frequencies `nodes_hz`.
        carrier_hz: Carrier whose phase ``e^{-j 2 pi f_c tau}`` the gains hold, Hz.
        tx: Radio of the transmitter.
        rx: Radio of the users.
        paths: Key of the paths.
        nodes_hz: Frequencies of the leading axis, Hz; None for gains at one frequency, without that axis.
        options: Choices of the field computation; None for gains that come from elsewhere.
        site_hash: Hash of the site, its materials included; None where it is not known.
        geometry_hash: Hash of the site's geometry; None where it is not known.
        moved: Lengths and directions of the paths where offsets have moved their ends; None as traced.
    """

    values: Complex[Tensor, "*band paths rx_ports tx_ports"]
    carrier_hz: float
    tx: Radio
    rx: Radio
    paths: PathsKey
    nodes_hz: Float[Tensor, " nodes"] | None = None
    options: FieldOptions | None = None
    site_hash: str | None = None
    geometry_hash: str | None = None
    moved: MovedPaths | None = None

    def __post_init__(self) -> None:
        axes = 3 if self.nodes_hz is None else 4
        shape, ports = tuple(self.values.shape), (self.rx.array.num_ports, self.tx.array.num_ports)
        if len(shape) != axes or shape[-3] != self.paths.num_paths:
            raise SiteTwinError(
                f"gains of shape {shape} do not fit {self.paths.num_paths} paths"
                + ("" if self.nodes_hz is None else f" at {len(self.nodes_hz)} nodes")
                + "; give (paths, rx_ports, tx_ports), with a leading axis where nodes_hz is given"
            )
        if self.nodes_hz is not None and len(self.nodes_hz) != shape[0]:
            raise SiteTwinError(f"gains at {shape[0]} nodes were given with {len(self.nodes_hz)} node frequencies")
        if shape[-2:] != ports:
            raise SiteTwinError(
                f"gains between {shape[-2]} x {shape[-1]} ports do not fit radios with {ports[0]} x {ports[1]}; "
                "give the radios that the gains are for"
            )

    @classmethod
    def of(
        cls,
        paths: Paths,
        values: Tensor,
        carrier_hz: float,
        tx: Radio | None = None,
        rx: Radio | None = None,
        *,
        site: Any = None,
        nodes_hz: Tensor | None = None,
        options: FieldOptions | None = None,
        moved: MovedPaths | None = None,
    ) -> PathGains:
        """Wrap gains with the paths, carrier and radios that they belong to.

        Args:
            paths: P paths.
            values: (P, rx_ports, tx_ports) complex, or (N, P, rx_ports, tx_ports) at the frequencies `nodes_hz`.
            carrier_hz: Carrier whose phase the gains hold, Hz.
            tx: Radio of the transmitter; a vertical isotropic antenna by default.
            rx: Radio of the users; a vertical isotropic antenna by default.
            site: The site of the paths, where it is known.
            nodes_hz: (N,) frequencies across the band, Hz.
            options: Choices of the field computation.
            moved: Lengths and directions of the paths where offsets have moved their ends.

        Raises:
            SiteTwinError: The shape does not fit the paths, the nodes or the ports of the radios.
        """
        return cls(
            values,
            float(carrier_hz),
            tx or Radio(),
            rx or Radio(),
            PathsKey.of(paths),
            nodes_hz,
            options,
            # Sites made by hand, of planes without a mesh, have no hash.
            getattr(site, "hash", None),
            getattr(site, "geometry_hash", None),
            moved,
        )

    def __repr__(self) -> str:
        shape = tuple(self.values.shape)
        at = "" if self.nodes_hz is None else f" at {shape[0]} frequencies"
        return (
            f"PathGains({shape[-3]:,} paths of {self.paths.num_users:,} users, {shape[-2]} x {shape[-1]} ports{at}, "
            f"carrier {self.carrier_hz / 1e9:g} GHz, {str(self.values.dtype).removeprefix('torch.')})"
        )

    def __len__(self) -> int:
        """Return the number of paths."""
        return self.paths.num_paths

    def numpy(self) -> Complex[np.ndarray, "*band paths rx_ports tx_ports"]:
        """Return the values as an array, without gradients."""
        values: np.ndarray = self.values.detach().cpu().numpy()
        return values

    @property
    def power(self) -> Float[Tensor, "*band paths rx_ports tx_ports"]:
        """Return received over transmitted power of each path between each pair of ports, in double precision."""
        exact = self.values.to(torch.complex128)
        return exact.real.square() + exact.imag.square()

    @property
    def power_db(self) -> Float[Tensor, "*band paths rx_ports tx_ports"]:
        """Return the power in dB; minus infinity for a path without power."""
        return 10 * torch.log10(self.power)

    @property
    def at_carrier(self) -> Complex[Tensor, "paths rx_ports tx_ports"]:
        """Return the values, if there is one gain for the whole band.

        Raises:
            SiteTwinError: The gains were taken at several frequencies of the band.
        """
        if self.nodes_hz is None:
            return self.values
        if len(self.nodes_hz) > 1:
            raise SiteTwinError(
                f"gains at {len(self.nodes_hz)} frequencies of the band have a form over the subcarriers only; use "
                "frequency_response, or take gains at the carrier with path_gains"
            )
        return self.values[0]

    def with_values(self, values: Tensor, paths: Paths | None = None) -> PathGains:
        """Return gains with other values for the same ports, carrier and site; gradients flow through them.

        Args:
            values: New values, in the shape of the old ones.
            paths: The paths that the new values belong to, if these have changed too, row by row (as in `advance`).

        Raises:
            SiteTwinError: The shape does not fit.
        """
        return replace(self, values=values, paths=self.paths if paths is None else PathsKey.of(paths))

    def select_users(self, paths: Paths, index: np.ndarray) -> tuple[Paths, PathGains]:
        """Select the paths and gains of some users, in the given order of users.

        Args:
            paths: The paths that these gains belong to.
            index: (N,) user indices, which may repeat, or a mask (U,) bool.

        Raises:
            SiteTwinError: The gains do not belong to these paths, or a user is out of range.
        """
        self.check(paths)
        index = chosen_users(index, paths.num_users).numpy()
        _, rows = take_groups(paths.offsets, index)
        chosen = paths.select_users(index)
        values = self.values.index_select(-3, torch.from_numpy(rows))
        rx = self.rx.select_users(torch.from_numpy(index))
        moved = None if self.moved is None else self.moved.take(torch.from_numpy(rows))
        return chosen, replace(self, values=values, rx=rx, paths=PathsKey.of(chosen), moved=moved)

    def check(
        self,
        paths: Paths,
        *,
        carrier_hz: float | None = None,
        tx: Radio | None = None,
        rx: Radio | None = None,
        site: Any = None,
    ) -> tuple[Radio, Radio]:
        """Check that these gains belong to the paths, carrier, radios and site of a channel.

        Args:
            paths: The paths.
            carrier_hz: Carrier of the channel, Hz; None where it does not matter.
            tx: Radio of the transmitter; None means the radio that the gains are for.
            rx: Radio of the users; None means the radio that the gains are for.
            site: The site, where the channel needs one.

        Returns:
            The radios of the transmitter and of the users. Number and places of the elements may differ from those of
            the gains' radios, because gains belong to ports.

        Raises:
            SiteTwinError: The gains belong to other paths, another site, another carrier or another radio.
        """
        self._check_paths(PathsKey.of(paths))
        known = getattr(site, "geometry_hash", None)
        if known is not None and self.geometry_hash is not None and known != self.geometry_hash:
            raise SiteTwinError(
                f"the gains were computed in another geometry ({self.geometry_hash[:12]}) than that of the site "
                f"({known[:12]}); give the site that they were computed in"
            )
        if carrier_hz is not None and carrier_hz != self.carrier_hz:
            raise SiteTwinError(
                f"the gains hold the phase of a carrier at {self.carrier_hz:g} Hz but the channel's carrier is "
                f"{carrier_hz:g} Hz; compute them with path_gains at the channel's carrier"
            )
        for whose, given, own in (("transmitter", tx, self.tx), ("users", rx, self.rx)):
            if given is not None:
                _check_radio(whose, given, own)
        return tx or self.tx, rx or self.rx

    def _check_paths(self, key: PathsKey) -> None:
        own = self.paths
        if key == own:
            return
        stated = key.geometry_hash, own.geometry_hash
        if None not in stated and stated[0] != stated[1]:
            raise SiteTwinError(
                f"the gains are those of paths in another geometry ({str(stated[1])[:12]}) than that of the paths that "
                f"were given ({str(stated[0])[:12]}); compute them with path_gains for these paths"
            )
        raise SiteTwinError(
            f"the gains are those of other paths: gains of {own.num_paths} paths of {own.num_users} users do not fit "
            f"{key.num_paths} paths of {key.num_users} users, nor paths in another order; compute them with path_gains "
            "for these paths, or choose users of both with PathGains.select_users"
        )


def _check_radio(whose: str, given: Radio, own: Radio) -> None:
    if given.array.num_ports != own.array.num_ports:
        raise SiteTwinError(
            f"the radio of the {whose} that was given has {given.array.num_ports} ports but the gains are for one with "
            f"{own.array.num_ports} ports; compute them with path_gains for the same radios"
        )
    if not given.radiates_like(own):
        raise SiteTwinError(
            f"the radio of the {whose} that was given has another pattern, polarisation or orientation than the one "
            "that the gains are for; compute them with path_gains for the same radios"
        )


def checked_gains(
    gains: Any,
    paths: Paths,
    *,
    carrier_hz: float | None = None,
    tx: Radio | None = None,
    rx: Radio | None = None,
    site: Any = None,
    follows: bool = False,
) -> tuple[PathGains, Radio, Radio]:
    """Do `PathGains.check`, and refuse gains that are bare numbers.

    Gains of moved transmitters or users are refused too, unless the caller follows them: it takes lengths and
    directions from `PathGains.moved` instead of from the paths.
    """
    if not isinstance(gains, PathGains):
        raise SiteTwinError(
            f"gains were given as a {type(gains).__name__}, which does not say what it belongs to; wrap it as "
            "PathGains.of(paths, values, carrier_hz, tx, rx)"
        )
    if gains.moved is not None and not follows:
        raise SiteTwinError(
            "the gains are those of a transmitter or of users that an offset has moved, and delays and directions of "
            "the paths as traced do not fit them here; trace again from the moved place"
        )
    return gains, *gains.check(paths, carrier_hz=carrier_hz, tx=tx, rx=rx, site=site)
