"""Values of materials that were given as tensors, put into a site as plain numbers."""

from __future__ import annotations

from sitetwin.channel.fields.options import TENSORS, FieldOptions
from sitetwin.channel.fields.tensors import MATERIAL_TENSORS, material_values
from sitetwin.errors import SiteTwinError
from sitetwin.site import Site
from sitetwin.site.materials import Material

_CONSTANTS = ("relative_permittivity", "conductivity")


def settled_site(site: Site, options: FieldOptions, carrier_hz: float) -> Site:
    """Put the values of materials that field options give into a site, which then has the same fields without them.

    At the carrier these fields are equal to the last bit. Materials whose values are those that they have anyway stay
    as they are. A material of the ITU's tables that gets another permittivity or conductivity has constants of its own
    from then on, the same at every frequency; the one of the two that is not given is taken at the carrier.

    Args:
        site: The site, or what `split_materials` made of it.
        options: The options; what they give as tensors or by name is taken, without gradients.
        carrier_hz: Carrier of the fields, Hz.

    Returns:
        A variant whose provenance lists each material that changed.

    Raises:
        SiteTwinError: The options give an offset or a factor on leaves, which are no materials; a value does not fit;
            or two materials of one name get different values.

    Example:
        ::

            options = FieldOptions(relative_permittivity={"brick": fitted})
            calibrated = settled_site(site, options, 3.5e9)
            save_site(calibrated, "calibrated")
    """
    others = [name for name in TENSORS if name not in MATERIAL_TENSORS and getattr(options, name) is not None]
    if others:
        raise SiteTwinError(
            f"{others[0]} is no value of a material, so that materials cannot hold it; leave it out here, and place "
            "the radios or the trees anew"
        )
    given = {name: getattr(options, name) for name in MATERIAL_TENSORS if getattr(options, name) is not None}
    own = {
        name: [_own(name, material, carrier_hz, options) for material in site.materials] for name in MATERIAL_TENSORS
    }
    now = {name: material_values(name, value, site.materials, own[name]).tolist() for name, value in given.items()}
    chosen: dict[str, dict[str, float]] = {}
    for name, values in now.items():
        for material, value, nominal in zip(site.materials, values, own[name], strict=True):
            if value != nominal:
                chosen.setdefault(material.name, {})[name] = value
    for at, material in enumerate(site.materials):
        changed = chosen.get(material.name, {})
        if any(now[name][at] != value for name, value in changed.items() if name in now):
            raise SiteTwinError(
                f"two materials of the site have the name '{material.name}' and get different values; give them names "
                "of their own with split_materials(site, by='material')"
            )
        if material.itu is not None and set(changed) & set(
            _CONSTANTS
        ):  # the policy out of range is that of the options
            changed |= {name: now.get(name, own[name])[at] for name in _CONSTANTS}
    if not chosen:
        return site
    return site.variant(material_values={name: {**values, "carrier_hz": carrier_hz} for name, values in chosen.items()})


def _own(name: str, material: Material, carrier_hz: float, options: FieldOptions) -> float:
    """The value that a material has without options."""
    if name in _CONSTANTS:
        return material.evaluate(carrier_hz, options.out_of_range)[name == "conductivity"]
    value = getattr(material, name)
    return float("inf") if value is None else float(value)
