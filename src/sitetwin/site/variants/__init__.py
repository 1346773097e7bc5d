"""Variants of a site: other worlds made from one site, with a list of all differences.

A *target* (the stand-in for reality) and its *twin* are variants of one site. Buildings move and grow as rigid wholes;
the ground stays. Facet ids survive unless buildings are left out, so that materials and figures stay comparable.
"""

from sitetwin.site.variants.changes import Changes, apply_changes
from sitetwin.site.variants.distort import GeometryError
from sitetwin.site.variants.materials import HiddenMaterials
from sitetwin.site.variants.missing import MissingBuildings
from sitetwin.site.variants.pose import PoseError, pose_error
from sitetwin.site.variants.splitting import split_materials
from sitetwin.site.variants.surfaces import MATERIAL_CHOICES, SurfaceMaterials
from sitetwin.site.variants.trees import TreeError
from sitetwin.site.variants.values import MaterialValues
from sitetwin.site.variants.vehicles import ParkedVehicles

__all__ = [
    "MATERIAL_CHOICES",
    "Changes",
    "GeometryError",
    "HiddenMaterials",
    "MaterialValues",
    "MissingBuildings",
    "ParkedVehicles",
    "PoseError",
    "SurfaceMaterials",
    "TreeError",
    "apply_changes",
    "pose_error",
    "split_materials",
]
