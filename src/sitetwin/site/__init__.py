"""The site: geometry, materials, vegetation, and where radios may stand in it."""

from sitetwin.site.bodies import MovingObject, box_object
from sitetwin.site.build import build_site
from sitetwin.site.check.check import check_site
from sitetwin.site.check.findings import Finding, SiteReport
from sitetwin.site.exporters import export_footprints, export_glb, export_mitsuba
from sitetwin.site.importers import builtin_scenes, load_cityjson, load_insite, load_mesh, load_scene
from sitetwin.site.io import load_site, save_site
from sitetwin.site.latlon import with_georeference
from sitetwin.site.materials import Material, itu_material
from sitetwin.site.mesh import Mesh
from sitetwin.site.moving import facet_velocities, place_objects, wedge_velocities
from sitetwin.site.objects import building_name, building_of_object
from sitetwin.site.opening import open_site
from sitetwin.site.places.grids import area_grid, lane_users, latlon_box, street_grid
from sitetwin.site.places.placement import (
    check_transmitter,
    distance_to_mesh,
    ground_height,
    inside_building,
    outdoor_mask,
    surface_height,
    user_grid,
)
from sitetwin.site.places.pose import Pose
from sitetwin.site.places.radios import ground_area, lamp_post, mast, place, place_latlon, street_area
from sitetwin.site.places.roofs import roof_edge
from sitetwin.site.planting import StreetTrees, plant_street_trees
from sitetwin.site.projection import Georeference
from sitetwin.site.recipes import VariantRecipe, fidelity_sweep, read_recipe
from sitetwin.site.site import Site
from sitetwin.site.variants import (
    Changes,
    GeometryError,
    HiddenMaterials,
    MaterialValues,
    MissingBuildings,
    ParkedVehicles,
    PoseError,
    SurfaceMaterials,
    TreeError,
    pose_error,
    split_materials,
)
from sitetwin.site.vegetation import Cylinder, Ellipsoid, ExtrudedPolygon, Vegetation
from sitetwin.site.wedges import Wedges

__all__ = [
    "Changes",
    "Cylinder",
    "Ellipsoid",
    "ExtrudedPolygon",
    "Finding",
    "GeometryError",
    "Georeference",
    "HiddenMaterials",
    "Material",
    "MaterialValues",
    "Mesh",
    "MissingBuildings",
    "MovingObject",
    "ParkedVehicles",
    "Pose",
    "PoseError",
    "Site",
    "SiteReport",
    "StreetTrees",
    "SurfaceMaterials",
    "TreeError",
    "VariantRecipe",
    "Vegetation",
    "Wedges",
    "area_grid",
    "box_object",
    "build_site",
    "building_name",
    "building_of_object",
    "builtin_scenes",
    "check_site",
    "check_transmitter",
    "distance_to_mesh",
    "export_footprints",
    "export_glb",
    "export_mitsuba",
    "facet_velocities",
    "fidelity_sweep",
    "ground_area",
    "ground_height",
    "inside_building",
    "itu_material",
    "lamp_post",
    "lane_users",
    "latlon_box",
    "load_cityjson",
    "load_insite",
    "load_mesh",
    "load_scene",
    "load_site",
    "mast",
    "open_site",
    "outdoor_mask",
    "place",
    "place_latlon",
    "place_objects",
    "plant_street_trees",
    "pose_error",
    "read_recipe",
    "roof_edge",
    "save_site",
    "split_materials",
    "street_area",
    "street_grid",
    "surface_height",
    "user_grid",
    "wedge_velocities",
    "with_georeference",
]
