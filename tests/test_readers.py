"""One guard for every reader: no other module opens or parses a file that a user gives."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "src" / "sitetwin"
GUARD = SOURCE / "untrusted"

PARSERS = {
    *("bz2", "csv", "gzip", "lzma", "marshal", "mmap", "netrc", "pickle", "plistlib", "shelve", "sqlite3", "tarfile"),
    *(
        "tomllib",
        "xml.dom",
        "xml.parsers",
        "xml.sax.make_parser",
        "xml.sax.parse",
        "xml.sax.parseString",
        "zipfile",
        "zlib",
        "configparser",
        "fileinput",
        "linecache",
        "codecs",
    ),
    *(
        "PIL",
        "cloudpickle",
        "defusedxml",
        "fiona",
        "geopandas",
        "h5py",
        "imageio",
        "joblib",
        "laspy",
        "lxml",
        "netCDF4",
    ),
    *("osmium", "pandas", "polars", "pyarrow", "pyogrio", "rasterio", "requests", "safetensors", "trimesh", "urllib3"),
    *("yaml", "scipy.io", "urllib.request"),
}
"""Modules that read files, packed data or the network."""

FUNCTIONS = {
    *("open", "io.open", "os.open", "os.fdopen", "os.read", "json.load", "json.loads", "torch.load", "torch.jit.load"),
    *("cv2.imread", "cv2.imreadmulti", "cv2.VideoCapture", "cv2.FileStorage", "onnx.load", "onnx.load_model"),
    *("zarr.open", "zarr.open_group", "zarr.open_array", "zarr.load"),
    *("xr.open_zarr", "xr.open_dataset", "xr.open_dataarray", "xr.open_datatree", "xr.open_mfdataset"),
    *(
        "xml.sax.make_parser",
        "xml.sax.parse",
        "xml.sax.parseString",
        "ET.parse",
        "ET.fromstring",
        "ET.fromstringlist",
        "ET.iterparse",
        "ET.XML",
        "ET.XMLParser",
        "ET.XMLPullParser",
    ),
    *(f"{np}.{name}" for np in ("np", "numpy") for name in ("load", "loadtxt", "genfromtxt", "fromfile", "memmap")),
}
METHODS = {"read_text", "read_bytes", "open"}

ALLOWED = {
    ("channel/fields/atmosphere.py", ".read_text"): "a table of the package",
    ("channel/fields/atmosphere.py", "np.loadtxt"): "a table of the package",
    ("channel/fields/gains.py", "zlib"): "a checksum of names",
    ("channel/formats/parquet.py", "pyarrow"): "a writer",
    ("channel/formats/arrays.py", "scipy.io"): "a writer",
    ("channel/shards.py", "zlib"): "a checksum of names",
    ("cli/diagnosis.py", ".read_text"): "a limit that the system states",
    ("cli/diagnosis.py", "json.loads"): "what a process of its own prints",
    ("learn/csi/training.py", "torch.load"): "bytes that the guard read, weights only",
    ("learn/model_files.py", "zipfile"): "a writer",
    ("measured/named_csi.py", "scipy.io"): "a writer",
    ("rays/convergence.py", "csv"): "a writer",
    ("rays/jobs/io.py", "json.loads"): "a copy of settings",
    ("report/coverage/rasters.py", "rasterio"): "a writer",
    ("report/coverage/rasters.py", ".open"): "a writer",
    ("site/exporters/files.py", "os.fdopen"): "a writer",
    ("site/exporters/geojson.py", "json.loads"): "what Shapely writes",
    ("site/maps/download.py", "urllib.request"): "the proxy that the environment names",
    ("site/maps/download.py", "urllib3"): "one request with limits of time and size",
    ("site/maps/raster.py", "rasterio"): "a regular file, by drivers that follow no reference to others",
    ("site/maps/readers/osm_pbf.py", "osmium"): "bytes that the guard read, block by block",
    ("vision/worlds/recording.py", "csv"): "a writer",
    (
        "site/maps/readers/vector_child.py",
        "pyogrio",
    ): "bytes that the guard read, in a process with little time and memory",
    (
        "site/maps/readers/vector_child.py",
        "sqlite3",
    ): "bytes that the guard read, in a process with little time and memory",
    ("site/maps/rules.py", ".read_text"): "a table of the package",
    ("site/xml.py", "defusedxml"): "bytes that the guard read; no types, no entities, no depth",
    ("store/files.py", "os.open"): "the descriptor that is locked or put on the disk",
    ("store/groups.py", "zarr.open_group"): "a group whose metadata and sizes are checked",
    ("store/outputs.py", ".open"): "raw files of its own that become an archive",
    ("store/outputs.py", "np.memmap"): "raw files of its own that become an archive",
    ("store/outputs.py", "zipfile"): "a writer",
    ("store/tiles.py", "json.loads"): "a copy of a configuration",
    ("studies/frame.py", "json.loads"): "a copy of a part",
    ("studies/records.py", "json.loads"): "a copy of results",
    ("version.py", ".read_bytes"): "the package's own sources",
}
"""What reads by itself, and why it may."""


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _writes(call: ast.Call) -> bool:
    """Whether a call of `.open` is of a mode that writes, or of a class whose `open` takes a path."""
    modes = [*call.args[:1], *(word.value for word in call.keywords if word.arg == "mode")]
    return any(not isinstance(mode, ast.Constant) or set(str(mode.value)) & set("wax+") for mode in modes)


def _modules(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _readers(tree: ast.AST) -> Iterator[str]:
    """What in a module opens or parses something: the modules that it imports for it, functions and methods."""
    for node in ast.walk(tree):
        for name in _modules(node):
            yield from (parser for parser in PARSERS if f"{name}.".startswith(f"{parser}."))
        if not isinstance(node, ast.Call):
            continue
        name = _dotted(node.func)
        if name in FUNCTIONS:
            yield name
            continue
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if method in METHODS and not name.startswith("untrusted.") and not (method == "open" and _writes(node)):
            yield f".{method}"


def test_no_other_module_opens_or_parses_a_file():
    found = {
        (file.relative_to(SOURCE).as_posix(), reader)
        for file in SOURCE.rglob("*.py")
        if GUARD not in file.parents
        for reader in _readers(ast.parse(file.read_text()))
    }
    assert found - set(ALLOWED) == set(), "read through sitetwin.untrusted, or say here why not"
    assert set(ALLOWED) - found == set(), "no longer read by themselves"


def test_what_reads_by_itself_is_found():
    for text, reader in {
        "open('x')": "open",
        "with path.open('rb') as f: pass": ".open",
        "path.open(encoding='utf-8')": ".open",
        "(a / b).read_bytes()": ".read_bytes",
        "import csv": "csv",
        "from zipfile import ZipFile": "zipfile",
        "from scipy import io": "scipy.io",
        "from xml.parsers import expat": "xml.parsers",
        "ET.fromstring(t)": "ET.fromstring",
        "np.load(p)": "np.load",
        "json.loads(t)": "json.loads",
    }.items():
        assert set(_readers(ast.parse(text))) == {reader}
    for text in ("TileStore.open(path)", "path.open('w')", "from urllib.parse import quote", "untrusted.read_bytes(p)"):
        assert list(_readers(ast.parse(text))) == []


def test_the_page_of_limits_says_what_holds():
    page = (SOURCE.parent.parent / "docs" / "reference" / "limits.md").read_text()
    rows = re.findall(r"^\| [^|]+ \| (\d+)( MiB)? \| `([\w.]+)\.(\w+)` \|$", page, re.MULTILINE)
    assert len(rows) == page.count("\n| ") - 1 > 20
    for number, unit, module, name in rows:
        assert getattr(importlib.import_module(module), name) == int(number) * (2**20 if unit else 1), name
    named = {(module, name) for _, _, module, name in rows}
    for module in ("files", "packed", "texts", "arrays", "tars", "images", "video", "tensors"):
        for name in vars(importlib.import_module(f"sitetwin.untrusted.{module}")):
            if name.startswith(("LARGEST_", "MOST_", "FREE_")) and name != "LARGEST_WHOLE":
                assert any(name == other for _, other in named), f"{name} is not on the page"
