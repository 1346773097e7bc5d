"""Names that may mean a building's height or number of storeys, in many languages, also cut as shapefiles cut them."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_HEIGHT = (
    "height|heigh$|hght|hgt|hoehe|hohe|hauteur|altura|alcada|altezza|hoogte|wysokosc|vyska|visina|vysota|korkeus|hojd|"
    "hoyde|hojde|hoejde|yukseklik|magassag|inaltime|tinggi|aukstis|augstums|korgus|ypsos|"
    "υψος|высота|高さ|高度|높이|גובה|ارتفاع"
)
_STOREYS = (
    "storey|stories|floors|levels$|etage|geschoss|stockwerk|planta|pisos|niveaux|niveles|piani$|verdieping|bouwlag|"
    "kondygn|etaje|podlazi|podlaz|kerros|vaning|etasje|katlar|katsayi|emelet|etazh|этаж|階数|层数|層數|層数|층수"
)
_HEIGHT_WORDS, _STOREY_WORDS = re.compile(_HEIGHT), re.compile(_STOREYS)
_SHORT_HEIGHTS = frozenset(
    {"h", "ht", "hm", "hmax", "hmean", "bldght", "bldgh", "bldht", "bht", "bh", "haut", "hauthoit"}
)
_SHORT_STOREYS = frozenset({"aog", "nbetag", "nbniv", "nfloor", "nfloors", "flr", "numflr", "grndflr", "floorno"})
_CUT_HEIGHTS = ("building_height", "buildingHeight", "measuredHeight", "measured_height", "Gebaeudehoehe",
                "Gebaeude_hoehe", "Gebäudehöhe", "altura_edificio", "hauteur_batiment")  # fmt: skip
_CUT_STOREYS = ("numberOfStoreys", "number_storeys", "storeysAboveGround", "numberOfFloors", "number_floors",
                "nombre_etages", "numero_plantas", "numero_pisos", "AnzahlGeschosse", "Anzahl_Geschosse")  # fmt: skip
_NOT_OVER_GROUND = re.compile(
    r"elev|altitud|_nn|nhn|asl|msl|absol|terrain|ground|gelaende|boden|base|sockel|trauf|eave|gutter|min|under|unter|"
    r"keller|basement|sousol|subter|sotano|roof|dach|toit|techo|tree|baum|wall|fence|door|floorh|storeyh|stor(?:e)?yh|"
    r"geschossh|stockwerkh|etageh|levelh|clear|accur|error|source|quell|type|date|name|index|code|id$|层高|層高"
)

_CLEARANCE = "maxheight"  # OpenStreetMap's key of the height that vehicles may have


def plain_name(name: str) -> str:
    """Return a name without case, accents and punctuation: "Gebäude_Höhe" is "gebaeudehoehe"."""
    return _plain(name)


@lru_cache(maxsize=1024)
def _plain(name: str) -> str:
    text = name.lower()
    for letter, letters in (
        ("ä", "ae"),
        ("ö", "oe"),
        ("ü", "ue"),
        ("ß", "ss"),
        ("ø", "o"),
        ("ł", "l"),
        ("\u0131", "i"),
    ):
        text = text.replace(letter, letters)
    text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return "".join(c for c in unicodedata.normalize("NFKC", text) if c.isalnum())


def looks_like_a_height(name: str) -> bool:
    """Return whether a name may mean a building's height over the ground, or its number of storeys."""
    return looks_like(name, "height") or looks_like(name, "building:levels")


@lru_cache(maxsize=4096)
def looks_like(name: str, target: str) -> bool:
    """Return whether a name may mean a height over the ground, or a number of storeys.

    Args:
        name: Name of an attribute.
        target: What it may mean: "height" or "building:levels".
    """
    if ":" in name or name == _CLEARANCE:
        return False
    plain = plain_name(name)
    words, short, cut = (
        (_HEIGHT_WORDS, _SHORT_HEIGHTS, _CUT_HEIGHTS)
        if target == "height"
        else (_STOREY_WORDS, _SHORT_STOREYS, _CUT_STOREYS)
    )
    if len(name) == 10 and any(plain == plain_name(full[:10]) for full in cut):
        return True
    if _NOT_OVER_GROUND.search(plain.removesuffix("ground") if "above" in plain else plain):
        return False
    return plain in short or words.search(plain) is not None
