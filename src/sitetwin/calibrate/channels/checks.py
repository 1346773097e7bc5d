"""Whether paths, profiles and radios belong together, before anything is fitted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sitetwin.channel.antennas.radio import Radio
from sitetwin.errors import SiteTwinError
from sitetwin.measured.profiles import LOWEST, Profiles
from sitetwin.rays.paths import Interaction, Paths
from sitetwin.site import Site

_SAME_PLACE = 0.01  # metres by which a user may stand beside the profile's position
_SAME_ELEMENT = 1e-6  # wavelengths
_NOISE_OFF_DB = 3.0


def checked_inputs(
    site: Site, paths: Paths, profiles: Profiles, tx: Radio, rx: Radio, stages: Sequence[str]
) -> list[str]:
    """Refuse what does not belong together; return notes of what a reader of the result must know."""
    if paths.num_users != len(profiles):
        raise SiteTwinError(
            f"{len(profiles)} profiles go with paths to {paths.num_users} users; trace to the profiles' positions"
        )
    apart = np.linalg.norm(paths.users - profiles.positions, axis=1)
    if (apart > _SAME_PLACE).any():
        at = int(apart.argmax())
        raise SiteTwinError(
            f"{int((apart > _SAME_PLACE).sum())} of {len(apart)} profiles were measured elsewhere than the paths end "
            f"(number {at}: {apart[at]:.3g} m apart); trace to the profiles' positions, in their order"
        )
    if not paths.num_paths:
        raise SiteTwinError("no path reaches any of the profiles' positions: are they those of another site?")
    if rx.array.num_antennas != 1:
        raise SiteTwinError(f"users have {rx.array.num_antennas} antennas; profiles are those of users with one")
    _check_array(profiles, tx)
    if "scattering" in stages and not paths.scatters_diffusely:
        raise SiteTwinError(
            "the scattering is asked of paths that were traced without diffuse ones; trace with diffuse_paths, or "
            "leave the stage 'scattering' out"
        )
    notes = []
    unreached = int((paths.counts == 0).sum())
    if unreached:
        notes.append(f"{unreached} of {len(profiles)} profiles are reached by no path; they tell nothing here")
    notes += [f"{count} profiles were left out: {why}" for why, count in profiles.left_out.items() if count]
    if not paths.scatters_diffusely:
        notes.append(
            "the paths were traced without diffuse ones: materials may stand in for power that rough surfaces scatter"
        )
    if not _diffracts(paths):
        notes.append(
            "the paths were traced without diffraction: users behind corners are told by walls alone, or by nothing"
        )
    return [*notes, *_noise_notes(profiles)]


def _diffracts(paths: Paths) -> bool:
    settings = paths.attributes.get("settings")
    asked = settings.get("diffraction", False) if isinstance(settings, dict) else False
    return bool(asked) or bool((paths.kinds == Interaction.DIFFRACTION).any())


def _noise_notes(profiles: Profiles) -> list[str]:
    """Whether the noise is that of the weakest taps."""
    flat = profiles.power.reshape(len(profiles), -1)
    level = np.quantile(flat, LOWEST, axis=1) / -np.log(1 - LOWEST)
    seen = level > 0
    if not seen.any():
        return []
    above = 10 * np.log10(profiles.noise.mean(axis=1)[seen] / level[seen])
    middle = float(np.median(above))
    if middle > _NOISE_OFF_DB:
        return [
            f"the noise that was given is {middle:.0f} dB above what the weakest taps hold: it has another unit, or "
            "was taken off; materials and offset may be wrong by it"
        ]
    if middle < -_NOISE_OFF_DB:
        return [
            f"the weakest taps hold {-middle:.0f} dB more than the noise that was given: it is too low, or paths fill "
            "all taps; materials and offset may be wrong by it"
        ]
    return []


def _check_array(profiles: Profiles, tx: Radio) -> None:
    if profiles.array is None:
        if tx.array.num_positions != 1:
            raise SiteTwinError(
                f"the profiles are those of one antenna and the station's array has {tx.array.num_positions} elements; "
                "give the radio that measured"
            )
        return
    if tx.array.num_antennas != profiles.array.num_antennas or not np.allclose(
        tx.array.positions.detach().numpy(), profiles.array.positions.detach().numpy(), atol=_SAME_ELEMENT
    ):
        raise SiteTwinError("the profiles' beams are those of another array than the station's; give the same array")
